"""A plane register as the steps of a row see it: where its next piece begins, and whether the present one is there."""

from __future__ import annotations

from amaranth import Const, Mux, Signal, Value

from ..config import SpAttenConfig, clog2
from .planes import part_bits, position_bits, slot_widths


class PlaneSlot:
    """The plane register `number` as the steps see it. `position`: where its next piece (or beat of a piece) begins;
    `held`: the piece of the present chunk is there; `part`: beats of its piece loaded."""

    def __init__(self, c: SpAttenConfig, number: int):
        self.number = number
        self.widths = slot_widths(c, number)
        self.active = Signal(name=f"active{number}", reset_less=True)
        self.held = Signal(name=f"held{number}", reset_less=True)
        self.position = Signal(position_bits(c), name=f"position{number}", reset_less=True)
        self.part = Signal(part_bits(c), name=f"part{number}", reset_less=True)
        # The piece's size depends on the row only where nibbles or pairs of bits may be in the register.
        self.wide = Signal(name=f"wide{number}", reset_less=True)
        self.load = Signal(name=f"load{number}")

    def by_width(self, values: list[int], bits: int) -> Value:
        """The value for the plane in the register, of `values` per width that may be there."""
        if len(values) == 1 or values[0] == values[-1]:
            return Const(values[0], bits)
        return Mux(self.wide, Const(values[1], bits), Const(values[0], bits))


def begin_of(chunks: Value, units: int, align: int) -> Value:
    """`chunks` · `units`, rounded up to a multiple of `align`, a power of two."""
    low = clog2(align)
    return ((chunks * units + (align - 1)).as_unsigned() >> low) << low
