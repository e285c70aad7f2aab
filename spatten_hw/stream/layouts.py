"""Payload layouts of the streams between blocks (`docs/architecture.md`, "Streams").

A vector travels as rows. `count` says how many lanes of a row are live (lanes 0 … count − 1; the others
are don't-care), `last` marks the vector's final row. `tag` says which work item the vector belongs to.
L = `config.lanes`, P = `config.topk_lanes`, S = `config.slices`.
"""

from __future__ import annotations

from amaranth import Shape, signed, unsigned
from amaranth.lib import data

from ..config import OUT_BITS, PROB_BITS, SpAttenConfig


def tag_layout(c: SpAttenConfig) -> data.StructLayout:
    """Identity of a work item: one query of one query head.

    `head`: query head; `kv_head`: its K/V head; `query`: token id of the query (0 in generation), which is
    also its row in the output plane; `half`: K/V SRAM half; `stream_v`: kept V rows are fetched (generation,
    or a flat row) instead of read from the V SRAM; `refetched`: scores include K's LSBs, V rows come with
    theirs.
    """
    return data.StructLayout({
        "head": unsigned(c.head_bits), "kv_head": unsigned(c.head_bits), "query": unsigned(c.token_bits),
        "half": 1, "stream_v": 1, "refetched": 1,
    })


def operand_row(c: SpAttenConfig) -> data.StructLayout:
    """R = M/D rows of K or V, on-chip width, as S slices of `min_dim` elements.

    Row r of the group occupies slices r·D/min_dim … (r+1)·D/min_dim − 1. `count` live rows, `last` of command.
    """
    return data.StructLayout({
        "slices": data.ArrayLayout(unsigned(c.min_dim * c.operand_bits), c.slices),
        "count": unsigned(c.lane_count_bits), "last": 1,
    })


def score_row(c: SpAttenConfig) -> data.StructLayout:
    """R exact scores out of Q×K for the vector in `slot`; `replay`: partial sums of an LSB pass."""
    return data.StructLayout({
        "scores": data.ArrayLayout(signed(c.score_bits), c.lanes),
        "count": unsigned(c.lane_count_bits), "last": 1,
        "slot": unsigned(c.slot_bits), "replay": 1,
    })


def prob_row(c: SpAttenConfig) -> data.StructLayout:
    """L final probabilities (12-bit unsigned), full rows: row i holds positions i·L … i·L + L − 1."""
    return data.StructLayout({
        "probs": data.ArrayLayout(unsigned(PROB_BITS), c.lanes),
        "count": unsigned(c.lane_count_bits), "last": 1, "tag": tag_layout(c),
    })


def topk_row(lanes: int, key: int, payload: int, tag: int, count: int) -> data.StructLayout:
    """P elements into or out of a top-k engine: `key` and `payload` bits each.

    `k` (elements to keep, `count` bits) counts on a vector's first input row; outputs leave it 0.
    """
    return data.StructLayout({
        "keys": data.ArrayLayout(unsigned(key), lanes),
        "payloads": data.ArrayLayout(unsigned(payload), lanes),
        "count": unsigned(lanes.bit_length()), "last": 1,
        "k": unsigned(count), "tag": unsigned(tag),
    })


def out_beat(c: SpAttenConfig) -> data.StructLayout:
    """One write beat: whole data word at a logical byte address (aligned to the beat).

    `strobe` per byte; `kind`: 0 output row, 1 state word; `last` of the row or of the state section.
    """
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "strobe": unsigned(c.beat_bytes),
        "addr": unsigned(c.addr_bits), "kind": 1, "last": 1,
    })


def element_shape() -> Shape:
    """Shape of one element of an output row."""
    return signed(OUT_BITS)
