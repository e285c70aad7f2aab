"""Payloads between the parts of Prob×V, and how its sums are laid out in memory.

A slice adds products into words of N sums. A word that is read for a product cannot be read again for the next two
cycles, because its new value is not stored yet. A row has `chunks` products, so with one or two chunks the same word
would come again too early. Such jobs use four words per work item in turn, which the output tree adds up; others use
one word per chunk, and so do all where sums are local (`SpAttenConfig.local_sums`).
"""

from __future__ import annotations

from amaranth import Cat, Mux, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..primitives.widths import narrow


def word_bits(c: SpAttenConfig) -> int:
    """Width of the number of a word of sums of a work item."""
    return c.chunk_bits if c.local_sums else max(2, c.chunk_bits)


def chunk_words(c: SpAttenConfig, chunks: int) -> int:
    """Words that the sums of a chunk are spread over: cycles that its output takes."""
    return 1 if c.local_sums else {1: 4, 2: 2}.get(chunks, 1)


def sum_word(c: SpAttenConfig, chunks: Value, chunk: Value, cycle: Value) -> Value:
    """Word for a product of chunk `chunk`, as `word_bits` bits: the chunk, but with 1 or 2 chunks its upper bits
    are those of `cycle`, a counter of cycles modulo 4."""
    wide = narrow(chunk, word_bits(c))
    if c.local_sums:
        return wide
    return Cat(Mux(chunks == 1, cycle[0], wide[0]), Mux(chunks <= 2, cycle[1], wide[1]), wide[2:])


def prob_write(c: SpAttenConfig) -> data.StructLayout:
    """Row `row` of the probabilities of item `item` for the memories of all slices."""
    return data.StructLayout({
        "valid": 1, "item": unsigned(c.item_bits), "row": unsigned(c.row_bits),
        "probs": data.ArrayLayout(unsigned(PROB_BITS), c.slices),
    })


def prob_lane(c: SpAttenConfig) -> data.StructLayout:
    """What one slice takes of a `prob_write`."""
    return data.StructLayout({
        "valid": 1, "item": unsigned(c.item_bits), "row": unsigned(c.row_bits), "prob": unsigned(PROB_BITS),
    })


def gang_entry(c: SpAttenConfig) -> data.StructLayout:
    """Items item + i are added up in sums sum + i, i < `gang`."""
    return data.StructLayout({
        "item": unsigned(c.item_bits), "sum": unsigned(c.sum_bits), "gang": unsigned(c.max_group.bit_length()),
    })


def freed_items(c: SpAttenConfig) -> data.StructLayout:
    """Items item + i, i < `gang`, and as many sums are free again."""
    return data.StructLayout({
        "valid": 1, "item": unsigned(c.item_bits), "gang": unsigned(c.max_group.bit_length()),
    })


def drain_command(c: SpAttenConfig) -> data.StructLayout:
    """Read word `word` of sum `sum` and forget it. `first`: it is the first one read of a gang, `sum` its first sum."""
    return data.StructLayout({
        "valid": 1, "sum": unsigned(c.sum_bits), "word": unsigned(word_bits(c)), "first": 1,
    })


def partial_sums(c: SpAttenConfig) -> data.ArrayLayout:
    """A word of sums of one slice."""
    return data.ArrayLayout(signed(c.acc_bits), c.chunk)


def sums_ports(c: SpAttenConfig) -> dict[str, wiring.Member]:
    """Ports of what multiplies and adds up in a slice (`ValueSums`, `LocalSums`)."""
    return {
        "valid": In(1), "sum": In(c.sum_bits), "word": In(word_bits(c)), "prob": In(PROB_BITS),
        "operands": In(c.chunk * c.operand_bits), "drain": In(drain_command(c)), "partial": Out(partial_sums(c)),
    }


def planes(bits: int) -> data.ArrayLayout:
    """A parameter of V's MSB plane (0) and LSB plane (1)."""
    return data.ArrayLayout(unsigned(bits), 2)
