"""Layouts of row steps: how the beats of a row that has been read reach a converter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import Value, unsigned
from amaranth.lib import data

from ..config import SpAttenConfig
from ..stream.read_layouts import key_note, shared_note, value_note
from .planes import SLOTS, offset_bits, part_bits

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


def step_control(c: SpAttenConfig) -> dict[str, object]:
    """Fields of a step that say what to do with its beat."""
    return {
        "loads": unsigned(SLOTS), "part": unsigned(part_bits(c)),
        **{f"offset{n}": unsigned(offset_bits(c)) for n in range(SLOTS)},
        "emit": 1, "first": 1, "last": 1, "chunk": unsigned(c.chunk_bits),
        "width": unsigned(5), "lsb": 1, "shift": 1,
    }


def row_step(c: SpAttenConfig, note: data.StructLayout) -> data.StructLayout:
    """At most one beat of a row, and what a converter does with it.

    `loads`: the plane registers that take `data` (none: there is no beat in this step), as beat `part` of a piece that
    covers several. `emit`: then chunk `chunk` is complete; `offset0` … are the units (`planes.unit_bits`) at which its
    pieces begin in their registers. `first`, `last` step of the row. `width`, `lsb`, `shift`: as in `plane_mode`.
    `error`: an AXI error of this beat. Rows of words: a step is a beat, in order, to be taken as it is, and emits.
    """
    return data.StructLayout({"data": unsigned(c.axi_data_bits), "error": 1, **step_control(c), "note": note})
