"""Payloads inside the softmax."""

from __future__ import annotations

from amaranth import signed, unsigned
from amaranth.lib import data

from ..config import SpAttenConfig
from ..stream.layouts import tag_layout
from .formats import INTEGER_BITS, M_BITS, R_BITS, Y_BITS, k_bits


def ready_vector(c: SpAttenConfig) -> data.StructLayout:
    """All scores of the vector in `slot` are stored; `top` is their maximum, `replay`: partial sums were added."""
    return data.StructLayout({"slot": unsigned(c.slot_bits), "top": signed(c.score_bits), "replay": 1})


def row_info(c: SpAttenConfig) -> data.StructLayout:
    """Live lanes of a row, bit s that of slice s, and its place in the vector. With `chunk_queries`, `there`: lanes
    that are live for the last query of the gang."""
    return data.StructLayout({"live": unsigned(c.slices), "first": 1, "last": 1,
                              **({"there": unsigned(c.slices)} if c.chunk_queries else {})})


def scaling(c: SpAttenConfig) -> data.StructLayout:
    """Parameters that turn the scores of one vector into exponents."""
    return data.StructLayout({
        "top": signed(c.score_bits), "mant": unsigned(17), "pre": unsigned(5), "post": unsigned(6),
    })


def score_exponents(c: SpAttenConfig) -> data.StructLayout:
    """S scores with the scaling of their vector."""
    return data.StructLayout({
        "scores": data.ArrayLayout(signed(c.score_bits), c.slices), "scaling": scaling(c), "info": row_info(c),
    })


def exponent_row(c: SpAttenConfig) -> data.StructLayout:
    """S exponents y."""
    return data.StructLayout({"y": data.ArrayLayout(unsigned(Y_BITS), c.slices), "info": row_info(c)})


def exp_row(c: SpAttenConfig) -> data.StructLayout:
    """S exponentials m·2^−(16 + i)."""
    return data.StructLayout({
        "m": data.ArrayLayout(unsigned(M_BITS), c.slices),
        "i": data.ArrayLayout(unsigned(INTEGER_BITS), c.slices), "info": row_info(c),
    })


def inverse(c: SpAttenConfig) -> data.StructLayout:
    """The reciprocal of a sum: 1/sum = r·2^(−17 − k)."""
    return data.StructLayout({"r": unsigned(R_BITS), "k": unsigned(k_bits(c))})


def vector_info(c: SpAttenConfig) -> data.StructLayout:
    """A vector between passes 2 and 3; `may_refetch`: it has LSBs that are not in its scores yet."""
    return data.StructLayout({"slot": unsigned(c.slot_bits), "may_refetch": 1, "tag": tag_layout(c)})


def header(c: SpAttenConfig) -> data.StructLayout:
    """What pass 3 must know of a vector; `drop`: it is flat, its rows are discarded."""
    return data.StructLayout({"inverse": inverse(c), "drop": 1, "tag": tag_layout(c)})


def slot_notice(c: SpAttenConfig) -> data.StructLayout:
    """Payload of `free`."""
    return data.StructLayout({"slot": unsigned(c.slot_bits)})


def decision_notice(c: SpAttenConfig) -> data.StructLayout:
    """The first decision on the vector in `slot`, whose LSBs exist; `flat`: they are wanted. Then, in generation
    (`tag.stream`), the slot stays in use, and its scores come again as partial sums; in a prompt the query comes again
    as a new vector."""
    return data.StructLayout({"slot": unsigned(c.slot_bits), "flat": 1, "tag": tag_layout(c)})
