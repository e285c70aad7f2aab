"""Widen and Narrow: the same elements in the same order, full rows but the last, at full rate, whatever stalls."""

import os
import random

import pytest

from spatten_hw.prune.widths import Narrow, Widen, element_row
from spatten_hw.sim.harness.block import Block

SEED = int(os.environ.get("SEED", "1"))
WIDTH = 5


def rows_of(rng: random.Random, vector: list[int], lanes: int) -> list[int]:
    """A vector as rows of `lanes`, dense; lanes that hold nothing are random."""
    layout, rows = element_row(lanes, WIDTH), []
    for at in range(0, len(vector), lanes):
        part = vector[at:at + lanes]
        fill = [rng.getrandbits(WIDTH) for _ in range(lanes - len(part))]
        rows.append(layout.const({"elements": part + fill, "count": len(part),
                                  "last": at + lanes >= len(vector)}).as_value().value)
    return rows


def vectors_of(words: list[int], lanes: int) -> list[list[int]]:
    """The vectors in rows; asserts that every row but a vector's last is full."""
    layout, found, now = element_row(lanes, WIDTH), [], []
    for word in words:
        row = layout.from_bits(word)
        elements = [row.elements[lane] for lane in range(lanes)]
        assert row.count == lanes or row.last
        assert row.count > 0
        now += elements[:row.count]
        if row.last:
            found.append(now)
            now = []
    assert not now
    return found


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.3, 0.5)])
@pytest.mark.parametrize("kind, few, many", [
    (Widen, 2, 8), (Widen, 1, 2), (Widen, 4, 4), (Narrow, 2, 8), (Narrow, 1, 4)])
def test_elements_keep_their_order(kind, few, many, stalls):
    rng = random.Random(f"{SEED} {kind.__name__} {few} {many} {stalls}")
    vectors = [[rng.getrandbits(WIDTH) for _ in range(n)]
               for n in [1, many, many + 1, few, few + 1, *(rng.randint(1, 4 * many) for _ in range(60))]]
    wide_in = kind is Narrow
    rows = [row for v in vectors for row in rows_of(rng, v, many if wide_in else few)]
    block = Block(kind, many, few, WIDTH) if wide_in else Block(kind, few, many, WIDTH)
    out_lanes = few if wide_in else many
    expected = sum(-(-len(v) // out_lanes) for v in vectors)
    block.send("i", rows, stall=stalls[0], seed=rng.randrange(1000))
    block.receive("o", stall=stalls[1], seed=rng.randrange(1000))
    block.run(20 * len(rows) + 20 * expected, i=len(rows), o=expected)
    block.idle(20)
    words = block.taken("o")
    assert vectors_of(words.integers(), out_lanes) == vectors
    if stalls == (0.0, 0.0):
        # The narrow side never pauses, and a wide row leaves, or is taken, beside its neighbour's last narrow one.
        moves = words if wide_in else block.taken("i")
        assert moves.bubbles == 0
