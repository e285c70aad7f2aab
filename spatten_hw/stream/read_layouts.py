"""Payloads of the streams that read memory: what is asked for, what it is for, and what comes
(`docs/architecture.md`, "Streams")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import unsigned
from amaranth.lib import data

from ..config import SpAttenConfig, clog2
from ..interface.descriptor import word_count_bits

if TYPE_CHECKING:
    import enum  # the same with types
else:
    from amaranth.lib import enum


class ReadKind(enum.Enum, shape=3):
    """What a shared read is for."""

    QUERY = 0      # a Q row, for all slices
    KEY = 1        # a K row, MSB plane, for the K SRAM of a slice
    VALUE = 2      # a V row, MSB plane, for the V SRAM of a slice
    KEY_LSB = 3    # a K row, LSB plane, into the same words
    VALUE_LSB = 4  # a V row, LSB plane, into the same words
    WORDS = 5      # 64-bit words of descriptors or state


def key_note(c: SpAttenConfig) -> data.StructLayout:
    """What a K row of generation is for: row `row` of the vectors in slots slot + i (modulo `slots`) for every bit i of
    `members`. `slice`: which of the channel's slices. `lsb`: LSB plane, its sums are added to the stored scores.
    `fill`: of a prompt instead: row `row` of half `half` of the slice's K SRAM."""
    return data.StructLayout({
        "slice": unsigned(clog2(c.slices_per_channel)), "slot": unsigned(c.slot_bits),
        "members": unsigned(c.max_group), "row": unsigned(c.row_bits), "lsb": 1, "fill": 1, "half": 1,
    })


def value_note(c: SpAttenConfig) -> data.StructLayout:
    """What a V row of generation is for: it is multiplied by probability `row` of items item + i (modulo `items`) for
    every bit i of `members` and added to sums sum + i (modulo `sums`). `refetched`: bit i: item i uses V with its LSBs.
    `lsb`: this is the LSB plane (only members with `refetched` are set). `fill`: of a prompt instead: row `row` of half
    `half` of the slice's V SRAM."""
    return data.StructLayout({
        "slice": unsigned(clog2(c.slices_per_channel)), "item": unsigned(c.item_bits), "sum": unsigned(c.sum_bits),
        "members": unsigned(c.max_group), "refetched": unsigned(c.max_group), "row": unsigned(c.row_bits), "lsb": 1,
        "fill": 1, "half": 1,
    })


def shared_note(c: SpAttenConfig) -> data.StructLayout:
    """What a shared read is for. QUERY: `index` is the score slot. Fills: half `half` of slice `slice`, `index` is the
    row. WORDS: nothing."""
    return data.StructLayout({
        "kind": ReadKind, "half": 1, "slice": unsigned(clog2(c.slices)),
        "index": unsigned(max(c.slot_bits, c.row_bits, clog2(max(2, c.sram_words)))),
    })


def read_request(c: SpAttenConfig, note: data.StructLayout) -> data.StructLayout:
    """Read `beats` ≥ 1 whole beats from channel-local byte address `addr`, a multiple of a beat."""
    return data.StructLayout({
        "addr": unsigned(c.axi_addr_bits), "beats": unsigned(c.beats_bits), "note": note,
    })


def plane_mode(c: SpAttenConfig) -> data.StructLayout:
    """How the rows of a plane become operands. `width`: bits per element; `lsb`: 4 unsigned bits; `shift`: an MSB plane
    above an LSB plane (value · 2^4), or, with `lsb`, less the middle (value − 8); `chunks` per row."""
    return data.StructLayout({"width": unsigned(5), "lsb": 1, "shift": 1, "chunks": unsigned(c.chunk_count_bits)})


def operand_chunk(c: SpAttenConfig, note: data.StructLayout) -> data.StructLayout:
    """N elements of a row at on-chip width, element e in bits e·W …: chunk `chunk` of the row, `last` its final one.
    `error`: an AXI error in the row so far. `note` says what the row is for."""
    return data.StructLayout({
        "data": unsigned(c.chunk * c.operand_bits), "chunk": unsigned(c.chunk_bits), "last": 1, "error": 1,
        "note": note,
    })


def aux_command(c: SpAttenConfig) -> data.StructLayout:
    """Read `words` (≥ 1) 64-bit words from address `addr` (a multiple of 8; channel number above the local address)."""
    return data.StructLayout({"addr": unsigned(c.addr_bits), "words": unsigned(word_count_bits(c))})


def aux_word() -> data.StructLayout:
    """A 64-bit little-endian word read by an `aux_command`; `error`: its beat had an AXI error response."""
    return data.StructLayout({"data": unsigned(64), "last": 1, "error": 1})
