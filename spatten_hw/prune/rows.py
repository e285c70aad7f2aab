"""Payloads of the streams inside prune/, and widths that several of its blocks share."""

from __future__ import annotations

from amaranth import unsigned
from amaranth.lib import data

from ..config import PROB_BITS, SpAttenConfig, clog2


def row_bits(c: SpAttenConfig) -> int:
    """Width of the index of a row of L positions or ids."""
    return max(1, clog2(c.max_rows))


def layer_sum_bits(c: SpAttenConfig) -> int:
    """Width of Σ P of one position over a layer: at most max_tokens·max_heads probabilities, exact."""
    return PROB_BITS + clog2(c.max_tokens) + clog2(c.max_heads) + 1


def member_bits(c: SpAttenConfig) -> int:
    """Width of a token id or a head number."""
    return max(c.token_bits, c.head_bits)


def ids_layout(c: SpAttenConfig) -> data.ArrayLayout:
    return data.ArrayLayout(unsigned(c.token_bits), c.lanes)


def request_row(c: SpAttenConfig) -> data.StructLayout:
    """L strictly ascending ids for the score memory. `merge`: add `adds` to their totals, else read them."""
    return data.StructLayout({
        "ids": ids_layout(c), "adds": data.ArrayLayout(unsigned(layer_sum_bits(c)), c.lanes),
        "count": unsigned(c.lane_count_bits), "last": 1, "merge": 1,
    })


def total_row(c: SpAttenConfig) -> data.StructLayout:
    """L ids and their totals."""
    return data.StructLayout({
        "ids": ids_layout(c), "totals": data.ArrayLayout(unsigned(c.token_score_bits), c.lanes),
        "count": unsigned(c.lane_count_bits), "last": 1,
    })


def head_total(c: SpAttenConfig) -> data.StructLayout:
    """One K/V head and its total."""
    return data.StructLayout({
        "head": unsigned(c.head_bits), "total": unsigned(c.head_score_bits), "last": 1,
    })


def member_row(c: SpAttenConfig) -> data.StructLayout:
    """L members of a new survivor list, ascending; only the last row may be partial. `heads`: they are heads."""
    return data.StructLayout({
        "ids": data.ArrayLayout(unsigned(member_bits(c)), c.lanes),
        "count": unsigned(c.lane_count_bits), "last": 1, "heads": 1,
    })
