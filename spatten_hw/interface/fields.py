"""What a register is made of."""

from __future__ import annotations

from dataclasses import dataclass

RO, RW, W1C, WO = "RO", "RW", "W1C", "WO"


@dataclass(frozen=True)
class Field:
    """Bits `lsb` … `lsb + width − 1` of a register."""

    name: str
    lsb: int
    width: int
    doc: str


@dataclass(frozen=True)
class Register:
    """One 32-bit register. `access`: RO, RW, W1C (write 1 to clear) or WO (reads as 0). Bits outside `fields`
    (if any are named) read 0 and are not stored."""

    name: str
    offset: int
    access: str
    reset: int
    doc: str
    fields: tuple[Field, ...] = ()

    @property
    def mask(self) -> int:
        """Bits that exist."""
        return sum(((1 << f.width) - 1) << f.lsb for f in self.fields) if self.fields else 0xFFFF_FFFF
