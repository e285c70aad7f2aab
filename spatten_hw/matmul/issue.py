"""What a slice multiplies in a cycle, and which score it belongs to."""

from __future__ import annotations

from amaranth import unsigned
from amaranth.lib import data

from ..config import SpAttenConfig, clog2


def place_layout(c: SpAttenConfig) -> data.StructLayout:
    """Where a product of chunks goes: into the score of row `row` of `slot`.

    `first`, `last`: first and final chunk of the score. `member`: which partial sum of the K row it is added to;
    `alone`: the row has no other, so that its chunks are multiplied in successive issues. `replay`: see `score_write`.
    """
    return data.StructLayout({
        "slot": unsigned(c.slot_bits), "row": unsigned(c.row_bits), "member": unsigned(max(1, clog2(c.max_group))),
        "first": 1, "last": 1, "alone": 1, "replay": 1,
    })


def issue_layout(c: SpAttenConfig) -> data.StructLayout:
    """Multiply chunk `chunk` of the query in `place.slot`."""
    return data.StructLayout({"chunk": unsigned(c.chunk_bits), "place": place_layout(c)})
