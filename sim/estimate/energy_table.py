"""Energy of events on the chip: one table of parameters.

The default is made of published figures of 45 nm at 0.9 V (M. Horowitz, "Computing's energy problem", ISSCC 2014,
Figure 1.1.9): multiplication of 8 bits 0.2 pJ, of 32 bits 3.1 pJ; addition of 8 bits 0.03 pJ, of 32 bits 0.1 pJ; a read
of 64 bits from 8 KB of SRAM 10 pJ, from 32 KB 20 pJ. A multiplier's energy goes with the square of its width between
these, an adder's with its width. They are of units alone: clock, control, wires and leakage are not in them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Published points, pJ.
_MULTIPLY_8, _ADD_8, _ADD_32 = 0.2, 0.03, 0.1
_SRAM_8K_BYTE, _SRAM_32K_BYTE = 10 / 8, 20 / 8


def multiply(bits: float) -> float:
    """pJ of a product of two numbers of `bits` bits."""
    return _MULTIPLY_8 * (bits / 8) ** 2


def add(bits: float) -> float:
    """pJ of an addition."""
    return _ADD_8 + (_ADD_32 - _ADD_8) * (bits - 8) / 24


@dataclass(frozen=True)
class EnergyTable:
    """pJ per event. `source`: where the figures are from."""

    #: A multiply-accumulate of Q×K or Prob×V, operands of 12 bits, its share of the adder tree or sum.
    multiply_accumulate: float
    #: A byte written to or read from the K and V memories (some 12 KB a slice).
    sram_byte: float
    #: A byte through a small buffer (pool, row feed, score memory): written once and read once.
    buffer_byte: float
    #: A key through the softmax: two products of 17 bits, six additions, 4 bytes of buffers.
    softmax_key: float
    #: A key through a pass of local top-k: three comparisons of 12 bits, 2 bytes of buffers.
    topk_key: float
    #: An output element: a product of 17 × 30 bits, an addition.
    output: float
    #: A cycle of the whole accelerator, whatever it does: clock and leakage, per multiplier of both arrays.
    idle_cycle: float
    source: str

    def replace(self, **changes: float | str) -> EnergyTable:
        """A copy with some figures changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


_BUFFER = 2 * 0.5 * _SRAM_8K_BYTE      # buffers of 1 to 4 KB: half of the energy of 8 KB, twice
PUBLISHED_45NM = EnergyTable(
    multiply_accumulate=multiply(12) + add(28), sram_byte=(_SRAM_8K_BYTE + _SRAM_32K_BYTE) / 2 * 0.8,
    buffer_byte=_BUFFER, softmax_key=2 * multiply(17) + 6 * add(20) + 4 * _BUFFER,
    topk_key=3 * add(12) + 2 * _BUFFER, output=multiply(22.6) + add(32), idle_cycle=0.0,
    source="ISSCC 2014 (Horowitz), 45 nm, 0.9 V; SRAM of slices between 8 and 32 KB, wide words at 0.8 of the "
           "energy of a 64-bit port per byte; no clock, no leakage")
