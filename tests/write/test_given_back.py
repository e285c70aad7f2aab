"""GivenBackScale: the scale of each row by its item's ratio, at halves and limits; a ratio waits for the one before."""

from functools import cache

import numpy as np

from spatten_hw.sim.golden.numerics import round_shift
from spatten_hw.sim.harness.block import Block
from spatten_hw.stream.layouts import RATIO_FRACTION
from spatten_hw.write.given_back import GivenBackScale
from tests.seeds import numbers

from .test_writer import TINY

CONFIG = TINY.replace(slots=8)      # 16 items


@cache
def block_of() -> Block:
    return Block(GivenBackScale, CONFIG)


def scaled(mant: int, shift: int, r: int, same: int) -> tuple[int, int]:
    s = (r >> RATIO_FRACTION).bit_length()
    return (mant, shift) if same else (int(round_shift(np.array([mant * r]), RATIO_FRACTION + s)[0]), shift - s)


def row(block: Block, item: int, mant: int, shift: int) -> tuple[int, int]:
    """A row of the item comes, whose ratio has; → what it is scaled with."""
    block.set(item=item, scale={"out_mant": mant, "out_shift": shift})
    block.idle(1)
    block.set(row_here=1)
    block.idle(GivenBackScale.CYCLES)
    assert block.get("ready") == 1
    got = block.get("mant"), block.get("shift")
    block.set(row_done=1)
    block.idle(1)
    block.set(row_done=0, row_here=0)
    assert block.get("ready") == 0
    return got


def test_scales():
    """Ratios of every length against mantissas that end in halves, or just beside them, when multiplied."""
    rng, block = numbers("given back"), block_of()
    # Few bits in both factors: the product's low bits are a half, or one with a single bit below it.
    cases = [(low | int(rng.integers(1 << 9)) << 8, 1 << RATIO_FRACTION + s - 1 | below)
             for low in range(1, 1 << 8, 2) for s in range(1, 5)
             for below in (0, 1 << int(rng.integers(RATIO_FRACTION)))]
    cases += [(int(rng.choice([0, 1, 65536, 131071, rng.integers(1 << 17)])),
               int(rng.integers(1 << RATIO_FRACTION + s - 1, 1 << RATIO_FRACTION + s))) for s in range(1, 5)
              for _ in range(50)]
    for turn, (mant, r) in enumerate(cases):
        same, item, shift = int(turn % 20 == 0), int(rng.integers(CONFIG.items)), int(rng.integers(5, 64))
        block.send("ratio", {"item": [item], "r": [r], "same": [same]})
        block.run(4, ratio=1)
        assert row(block, item, mant, shift) == scaled(mant, shift, r, same), (mant, r)


def test_a_ratio_waits_for_the_items_last_row():
    """For every item: its next ratio is not taken before the row of the one before has come, then at once."""
    block = block_of()
    for item in range(CONFIG.items):
        first, second = (1 << RATIO_FRACTION) + item, (2 << RATIO_FRACTION) + item
        block.send("ratio", {"item": [item, item], "r": [first, second], "same": [0, 0]})
        block.idle(20)
        assert block.taken("ratio").fired == 1, item
        assert row(block, item, 65536, 20) == scaled(65536, 20, first, 0)
        assert block.taken("ratio").fired == 2, item
        assert row(block, item, 65536, 20) == scaled(65536, 20, second, 0)
