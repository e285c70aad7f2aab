"""Payloads of the streams inside prune/, and widths that several of its blocks share."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data

from ..config import SpAttenConfig, clog2
from ..primitives.widths import narrow

#: Bits of a key that one pass of the search for a threshold finds.
DIGIT_BITS = 4


def limit_bits(c: SpAttenConfig) -> int:
    """Width of a number of tokens of one class, 0 … max_rows."""
    return c.max_rows.bit_length()


def class_bits(c: SpAttenConfig) -> int:
    """Width of a class, token id mod S; 0 if there is only one."""
    return clog2(c.slices)


def class_row(c: SpAttenConfig) -> data.ArrayLayout:
    """One token of every class, as token index: id div S."""
    return data.ArrayLayout(unsigned(c.row_bits), c.slices)


def class_limits(c: SpAttenConfig) -> data.ArrayLayout:
    """A bound on token indexes, or a number of tokens, for every class."""
    return data.ArrayLayout(unsigned(limit_bits(c)), c.slices)


def digit_row(c: SpAttenConfig) -> data.ArrayLayout:
    return data.ArrayLayout(unsigned(DIGIT_BITS), c.slices)


def ids_row(c: SpAttenConfig) -> data.ArrayLayout:
    """S token ids of the dense list."""
    return data.ArrayLayout(unsigned(c.token_bits), c.slices)


def tie_bits(c: SpAttenConfig) -> int:
    """Bits of a key below those of the total: whole pairs for the index and for the lane."""
    return 2 * (-(-c.row_bits // 2) - (-class_bits(c) // 2))


def key_bits(c: SpAttenConfig) -> int:
    """Width of a key, the total above the index and the lane, in whole pairs of bits."""
    return tie_bits(c) + 2 * -(-c.token_score_bits // 2)


def pruning_params(c: SpAttenConfig) -> data.StructLayout:
    """How many tokens are kept, and which are protected: ids below `protect_first`, and the last `protect_last` of
    `tokens`."""
    return data.StructLayout({
        "keep": unsigned(c.count_bits), "tokens": unsigned(c.count_bits), "protect_first": unsigned(c.count_bits),
        "protect_last": unsigned(c.count_bits),
    })


def bitmap_row(c: SpAttenConfig) -> data.StructLayout:
    """S bits of the survivor bitmap: tokens row · S + lane; `last` row of the job's tokens."""
    return data.StructLayout({"bits": unsigned(c.slices), "row": unsigned(c.row_bits), "last": 1})


def serial_total(c: SpAttenConfig) -> data.StructLayout:
    """One total, or one sum of a layer, in lane `lane` of row `row`; `last` of those asked for."""
    return data.StructLayout({
        "total": unsigned(c.token_score_bits), "row": unsigned(c.row_bits), "lane": unsigned(c.slice_bits), "last": 1,
    })


def head_total(c: SpAttenConfig) -> data.StructLayout:
    """One K/V head and its total."""
    return data.StructLayout({
        "head": unsigned(c.head_bits), "total": unsigned(c.head_score_bits), "last": 1,
    })


def id_parts(c: SpAttenConfig, token: Value) -> tuple[Value, Value]:
    """Class and index of a token id."""
    low = class_bits(c)
    return narrow(token[:low], c.slice_bits), narrow(token[low:], c.row_bits)


def class_id(c: SpAttenConfig, index: Value, lane: int | Value) -> Value:
    """The token id of an index of a class."""
    low = class_bits(c)
    part = Const(lane, low) if isinstance(lane, int) else lane[:low]
    return narrow(Cat(part, index), c.token_bits)


def counts_below(m: Module, c: SpAttenConfig, bound: Value, name: str) -> Signal:
    """For every class how many ids below `bound` (≤ max_tokens) it has, in a register: index < this number is
    id < bound, in few bits."""
    counts = Signal(class_limits(c), name=name, reset_less=True)
    low = class_bits(c)
    part, rest = bound[low:], bound[:low]
    more = Signal(limit_bits(c), name=f"{name}_more")
    m.d.comb += more.eq(narrow(part + 1, limit_bits(c)))
    for lane in range(c.slices):
        # No remainder is above the last class.
        above = rest > lane if lane < c.slices - 1 else Const(0)
        m.d.sync += counts[lane].eq(Mux(above, more, narrow(part, limit_bits(c))))
    return counts
