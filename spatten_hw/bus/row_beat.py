"""Payloads behind a channel reader: beats of a row that has been read, and what the row is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import Value, unsigned
from amaranth.lib import data

from ..config import SpAttenConfig
from ..stream.read_layouts import key_note, shared_note, value_note

if TYPE_CHECKING:
    import enum  # the same with types
else:
    from amaranth.lib import enum


class ReadClass(enum.Enum, shape=2):
    """Where a read came from."""

    KEY = 0      # a K row of generation
    VALUE = 1    # a V row of generation
    SHARED = 2   # everything else


def local_note(c: SpAttenConfig) -> data.StructLayout:
    """What a K or V row of generation is for. `value`: 0: `bits` are a `key_note`, 1: a `value_note`."""
    return data.StructLayout({"value": 1, "bits": unsigned(max(key_note(c).size, value_note(c).size))})


def as_key_note(c: SpAttenConfig, note: data.View) -> data.View:
    """The `key_note` in a `local_note`."""
    return key_note(c)(note.bits[:key_note(c).size])


def as_value_note(c: SpAttenConfig, note: data.View) -> data.View:
    """The `value_note` in a `local_note`."""
    return value_note(c)(note.bits[:value_note(c).size])


def read_note(c: SpAttenConfig) -> data.StructLayout:
    """What any read is for: where it came from, and the bits of that class's note."""
    size = max(key_note(c).size, value_note(c).size, shared_note(c).size)
    return data.StructLayout({"origin": ReadClass, "bits": unsigned(size)})


def read_lsb(c: SpAttenConfig, note: data.View) -> Value:
    """Whether the row of `read_note` is one of an LSB plane (of K or V in generation)."""
    key, value = key_note(c)(note.bits[:key_note(c).size]), value_note(c)(note.bits[:value_note(c).size])
    return (note.origin == ReadClass.KEY) & key.lsb | (note.origin == ReadClass.VALUE) & value.lsb


def row_beat(c: SpAttenConfig, note: data.StructLayout) -> data.StructLayout:
    """A beat of a row of `beats` beats, in order: `first` … `last`. `error`: an AXI error of this beat. `note`: what
    the row is for."""
    return data.StructLayout({"data": unsigned(c.axi_data_bits), "error": 1, "first": 1, "last": 1,
                              "beats": unsigned(c.beats_bits), "note": note})
