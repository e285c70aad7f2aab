"""Single-data-rate SDRAM chips: geometry, times, commands, pins."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

#: Width of the data pins, in bits and bytes.
WORD_BITS, WORD_BYTES = 16, 2
BANK_BITS = 2
#: Address pins; A10 means "all banks" in a precharge and "precharge afterwards" in an access.
ADDRESS_PINS = 13
ALL_BANKS = 1 << 10
#: Refreshes between power-up and the mode register.
START_REFRESHES = 8


class Command(enum.IntEnum):
    """Pins `ras`, `cas`, `we` (bits 0, 1, 2; 1 = asserted) with `cs` asserted."""

    NOP = 0b000
    ACTIVATE = 0b001
    READ = 0b010
    WRITE = 0b110
    PRECHARGE = 0b101
    REFRESH = 0b011
    MODE = 0b111


@dataclass(frozen=True)
class SdramChip:
    """Four banks of 2^`row_bits` rows of 2^`column_bits` words of 16 bits; times in nanoseconds.

    The defaults suit 256-Mbit and larger chips of speed grade 7 or faster at up to 100 MHz (CAS latency 2), as found on
    the ULX3S (IS42S16160, AS4C32M16, MT48LC16M16: the slowest value of each); of a larger chip they use a part.
    """

    row_bits: int = 13
    column_bits: int = 9
    cas_latency: int = 2
    t_init: float = 200_000     # power-up to first command
    t_refi: float = 7_812.5     # from refresh to refresh, on average: 8192 in 64 ms
    t_rfc: float = 66           # refresh to next command
    t_rp: float = 21            # precharge to activate
    t_rcd: float = 21           # activate to access
    t_ras: float = 42           # activate to precharge
    t_wr: float = 15            # last word written to precharge
    mrd_clocks: int = 2         # mode register to next command

    def __post_init__(self) -> None:
        if not (1 <= self.row_bits <= ADDRESS_PINS and 3 <= self.column_bits <= 10 and self.cas_latency in (2, 3)):
            raise ValueError(f"{self}: rows of at most {ADDRESS_PINS} bits, columns of 3 … 10, CAS latency 2 or 3")

    @property
    def size(self) -> int:
        """Bytes."""
        return WORD_BYTES << self.row_bits + BANK_BITS + self.column_bits

    def mode(self, burst: int) -> int:
        """The mode register: bursts of `burst` words, in ascending order, for reads and writes."""
        return burst.bit_length() - 1 | self.cas_latency << 4


def clocks(nanoseconds: float, clock_hz: int) -> int:
    """Fewest clocks that last so long, at least 1."""
    return max(1, math.ceil(nanoseconds * clock_hz / 1e9 - 1e-9))


def sdram_pins() -> wiring.Signature:
    """The chip's pins but for its clock, directions of the controller; 1 = asserted, as in amaranth-boards.

    `dq_oe`: the controller drives `dq_o`; otherwise `dq_i` is what the chip drives.
    """
    return wiring.Signature({
        "clk_en": Out(1, init=1), "cs": Out(1, init=1), "ras": Out(1), "cas": Out(1), "we": Out(1),
        "ba": Out(BANK_BITS), "a": Out(ADDRESS_PINS), "dqm": Out(WORD_BYTES, init=(1 << WORD_BYTES) - 1),
        "dq_o": Out(WORD_BITS), "dq_oe": Out(1), "dq_i": In(WORD_BITS),
    })
