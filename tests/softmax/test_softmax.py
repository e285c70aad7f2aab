"""Softmax: bit for bit the golden model under stalls, ragged vectors, replays; its timing to the cycle without."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.block import Block
from spatten_hw.softmax.normalise import Normalise
from spatten_hw.softmax.softmax import Softmax
from spatten_hw.softmax.vector_reader import VectorReader
from tests.seeds import numbers

from .vectors import Driver, draw, lengths

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=12, max_tokens=64, sram_tokens=8, max_heads=8, max_group=4,
                     slots=4, operand_bits=8, channels=2)
CONFIGS = {
    "four": TINY,
    "one slice": TINY.replace(multipliers=4, max_dim=4, max_tokens=32, slots=2, max_group=2, channels=1),
    "one row": TINY.replace(multipliers=32, max_tokens=8, channels=4),
    "many slots": TINY.replace(multipliers=8, max_dim=8, slots=64, max_group=8, operand_bits=16, max_tokens=512),
}


@cache
def block_of(name: str) -> Block:
    return Block(Softmax, CONFIGS[name])


@pytest.mark.parametrize("threshold", [0, 4096, 700])
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_golden_under_stalls(name, threshold):
    rng, block, c = numbers("softmax", name, threshold), block_of(name), CONFIGS[name]
    block.reset()
    flats = 0
    for out, decided, scores in ((0.0, 0.0, 0.0), (0.9, 0.0, 0.0), (0.2, 0.95, 0.5)):
        block.receive("o", stall=out, seed=int(rng.integers(1, 1000)))
        block.receive("decided", stall=decided, seed=int(rng.integers(1, 1000)))
        block.receive("free")
        driver = Driver(block, c, rng, threshold)
        vectors = [draw(rng, c, n, lengths(rng, c), bool(rng.random() < 0.6)) for n in range(30)]
        driver.run(vectors, limit=60_000, stall=scores)
        flats += driver.flats
    assert (flats > 0) == (threshold > 0) or threshold == 700


def test_queries_that_see_fewer_keys_than_are_scored():
    """With `chunk_queries`: what is beyond counts neither for the maximum nor for the sum; rows without a live lane."""
    c = TINY.replace(chunk_queries=1)
    block = Block(Softmax, c)
    for threshold, stall in ((0, 0.0), (900, 0.4), (4096, 0.0)):
        rng = numbers("softmax seen", threshold)
        block.reset()
        for name in ("o", "decided", "free"):
            block.receive(name, stall=stall if name != "free" else 0.0, seed=3)
        vectors = []
        for n in range(40):
            v = draw(rng, c, n, lengths(rng, c), bool(rng.random() < 0.6))
            v.seen = v.keys - np.minimum(v.keys, rng.integers(0, 4, c.slices)) * (rng.random() < 0.8)
            if not v.seen.any():
                v.seen = v.keys
            vectors.append(v)
        Driver(block, c, rng, threshold).run(vectors, limit=60_000)


def test_short_vectors_wait_for_a_slow_output():
    """Vectors of one score, more than are counted inside: pass 2 begins none that has no place in front of pass 3."""
    rng, block, c = numbers("slow"), block_of("four"), TINY
    block.reset()
    block.receive("o", stall=0.98)
    block.receive("decided")
    block.receive("free")
    one = np.eye(c.slices, dtype=int)
    count = 2 * block.component.vectors_inside
    Driver(block, c, rng, 0).run([draw(rng, c, n, one[n % c.slices], False) for n in range(count)], limit=60_000)


def test_reset_in_the_middle():
    rng, block, c = numbers("reset"), block_of("four"), TINY
    block.reset()
    block.receive("o", stall=0.8)
    for name in ("decided", "free"):
        block.receive(name)
    with pytest.raises(AssertionError, match="cycle limit"):
        Driver(block, c, rng, 2000).run([draw(rng, c, n, lengths(rng, c), True) for n in range(40)], limit=90)
    block.reset()
    for name in ("o", "decided", "free"):
        block.receive(name)
    Driver(block, c, rng, 2000).run([draw(rng, c, n, lengths(rng, c), True) for n in range(20)], limit=10_000)


@pytest.mark.parametrize("kind", ["any", "one key", "long"])
def test_timing_without_stalls(kind):
    """Every probability row leaves in the cycle that three passes of one row per cycle allow."""
    rng, block, c = numbers("timing", kind), block_of("many slots"), CONFIGS["many slots"]
    block.reset()
    for name in ("o", "decided", "free"):
        block.receive(name)
    Driver(block, c, rng, 0)
    keys = {"any": lambda n: lengths(rng, c, 40), "one key": lambda n: np.array([1, 0]),
            "long": lambda n: np.array([30, 30])}[kind]
    vectors = [draw(rng, c, n, keys(n), False) for n in range(c.slots)]
    block.send("meta", {"slot": np.arange(c.slots), "keys": np.array([v.keys for v in vectors]),
                        "tag": {"query": np.arange(c.slots)}})
    block.idle(c.slots + 5)
    owner = []
    for s in range(c.slices):
        rows = [np.arange(v.keys[s]) for v in vectors]
        slots = np.repeat(np.arange(c.slots), [len(r) for r in rows])
        owner.append(slots)
        block.send(f"i__{s}", {"score": np.concatenate([v.msb[s] for v in vectors]), "slot": slots,
                               "row": np.concatenate(rows)})
    total = sum(len(v.live) for v in vectors)
    block.run(20_000, o=total)
    done = np.zeros(c.slots, dtype=int)
    for s in range(c.slices):
        came = block.taken(f"i__{s}")
        assert came.bubbles == 0
        np.maximum.at(done, owner[s], came.cycles)
    softmax = block.component
    want: list[int] = []
    ready = read_end = out_end = 0
    order = np.lexsort((np.arange(c.slots), done))
    for slot in order:
        rows = len(vectors[slot].live)
        ready = max(int(done[slot]) + softmax.slots.latency, ready + 1)
        read_end = max(ready + VectorReader.LOOKUP, read_end) + rows
        start = max(read_end - 1 + softmax.pass_2, out_end)
        out_end = start + rows
        want += [start + r + Normalise.LATENCY for r in range(rows)]
    out = block.taken("o")
    assert out.columns()["tag"]["query"].tolist() == np.repeat(order, [len(vectors[s].live) for s in order]).tolist()
    assert out.cycles.tolist() == want
    assert out.cycles[0] - done.min() == softmax.latency(len(vectors[order[0]].live))
    if kind == "one key":
        assert out.bubbles == 0
