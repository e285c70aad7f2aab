"""Layouts of row steps: how the beats of a row in a `RowFeed` reach its converter."""

from __future__ import annotations

from amaranth import unsigned
from amaranth.lib import data

from ..config import SpAttenConfig
from ..stream.read_layouts import plane_mode
from .planes import SLOTS, offset_bits, part_bits


def row_start(c: SpAttenConfig, note: data.StructLayout) -> data.StructLayout:
    """A row of `beats` beats: what it is for, its plane's mode."""
    return data.StructLayout({"beats": unsigned(c.beats_bits), "mode": plane_mode(c), "note": note})


def step_control(c: SpAttenConfig) -> dict[str, object]:
    """Fields of a step that say what to do with its beat."""
    return {
        "loads": unsigned(SLOTS), "part": unsigned(part_bits(c)),
        **{f"offset{n}": unsigned(offset_bits(c)) for n in range(SLOTS)},
        "emit": 1, "first": 1, "last": 1, "chunk": unsigned(c.chunk_bits),
        "width": unsigned(5), "lsb": 1, "shift": 1,
    }


def step_command(c: SpAttenConfig, note: data.StructLayout) -> data.StructLayout:
    """A step before its beat has been looked up. `read`: it has one, number `beat` of the row."""
    return data.StructLayout({"beat": unsigned(c.beats_bits), "read": 1, **step_control(c), "note": note})


def row_step(c: SpAttenConfig, note: data.StructLayout) -> data.StructLayout:
    """At most one beat of a row, and what a converter does with it.

    `loads`: the plane registers that take `data` (none: there is no beat in this step), as beat `part` of a piece that
    covers several. `emit`: then chunk `chunk` is complete; `offset0` … are the units (`planes.unit_bits`) at which its
    pieces begin in their registers. `first`, `last` step of the row. `width`, `lsb`, `shift`: as in `plane_mode`.
    `error`: an AXI error of this beat.
    """
    return data.StructLayout({"data": unsigned(c.axi_data_bits), "error": 1, **step_control(c), "note": note})
