"""StreamMerge: every payload once, each input's in order; all inputs in turn, one per cycle."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.sim.harness.block import Block
from spatten_hw.stream.merge import StreamMerge
from tests.seeds import numbers

BITS, LATENCY = 16, 1


@cache
def merge(n: int) -> Block:
    return Block(StreamMerge, BITS, n)


def run(n: int, counts: list[int], stalls: list[float], out: float) -> tuple[Block, np.ndarray]:
    """Payloads say of which input they are, and the how-many-eth. → the block, inputs in the order in which they left.
    """
    rng, block = numbers("merge", n, counts, stalls, out), merge(n)
    block.reset()
    block.receive("o", stall=out, seed=int(rng.integers(1, 1000)))
    for port, (count, stall) in enumerate(zip(counts, stalls, strict=True)):
        block.send(f"i__{port}", [port << 12 | number for number in range(count)], stall=stall,
                   seed=int(rng.integers(1, 1000)))
    block.run(20 * sum(counts) + 100, o=sum(counts))
    block.idle(5)
    left = np.array(block.taken("o").integers())
    assert len(left) == sum(counts)
    for port, count in enumerate(counts):
        assert (left[left >> 12 == port] & 0xFFF).tolist() == list(range(count))
    return block, left >> 12


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("out", [0.0, 0.5])
def test_everything_once_in_order(n, out):
    run(n, [150 - 40 * port for port in range(n)], [0.3 * port for port in range(n)], out)


@pytest.mark.parametrize("n", [1, 3])
def test_in_turn_and_one_per_cycle(n):
    block, order = run(n, [100] * n, [0.0] * n, 0.0)
    taken = block.taken("o")
    assert taken.bubbles == 0 and taken.cycles[0] - block.taken("i__0").cycles[0] == LATENCY
    assert order.tolist() == list(range(n)) * 100
