"""2^−y for a row of exponents: a 64-entry table of chords and one small multiplier per lane."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.pipeline import delay
from ..primitives.rounding import round_shift
from ..primitives.widths import narrow
from .formats import (
    BASE_BITS,
    BASE_FRACTION,
    INTEGER_BITS,
    LOW_BITS,
    M_BITS,
    M_ONE,
    SLOPE_BITS,
    SLOPE_FRACTION,
    Y_FRACTION,
    exp2_table,
)
from .rows import exp_row, exponent_row


class Exp2(wiring.Component):
    """Mantissas and exponents of 2^−y, S lanes per cycle (SpAtten section IV-C, the exponential).

    m (17 bits, 2^16 = 1.0, 2^15 < m ≤ 2^16) from the 14 fraction bits of y, i = y's integer part: 2^−y is
    m·2^−(16 + i) within 1.75·2^−16 relative. Latency `LATENCY` cycles, one row per cycle, no back-pressure (`i` is
    always accepted; `o` must be taken at once). Any input is valid.
    """

    LATENCY = 3

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(exponent_row(config))),
            "o": Out(stream.Signature(exp_row(config))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes = self.config.slices
        entry = data.StructLayout({"base": unsigned(BASE_BITS), "slope": unsigned(SLOPE_BITS)})
        table = Array(Const(base | slope << BASE_BITS, entry.size) for base, slope in exp2_table())

        m.d.comb += [
            self.i.ready.eq(1),
            self.o.valid.eq(delay(m, self.i.valid, self.LATENCY, "valid", reset=True)),
            self.o.p.info.eq(delay(m, self.i.p.info, self.LATENCY, "info")),
        ]
        for lane in range(lanes):
            y = self.i.p.y[lane]
            chord = Signal(entry, name=f"chord_{lane}", reset_less=True)
            low = Signal(LOW_BITS, name=f"low_{lane}", reset_less=True)
            drop = Signal(SLOPE_BITS + LOW_BITS, name=f"drop_{lane}", reset_less=True)
            base = Signal(BASE_BITS, name=f"base_{lane}", reset_less=True)
            mantissa = Signal(M_BITS, name=f"m_{lane}", reset_less=True)
            # The chord never falls below 2^15, so the difference is not negative.
            level = Signal(BASE_BITS + SLOPE_FRACTION - BASE_FRACTION, name=f"level_{lane}")
            m.d.sync += [
                chord.as_value().eq(table[y[LOW_BITS:Y_FRACTION]]),
                low.eq(y[:LOW_BITS]),
                drop.eq(chord.slope * low),
                base.eq(chord.base),
                mantissa.eq(narrow(round_shift(level, SLOPE_FRACTION), M_BITS)),
            ]
            m.d.comb += [
                level.eq(narrow((base << (SLOPE_FRACTION - BASE_FRACTION)) - drop, len(level))),
                self.o.p.m[lane].eq(mantissa),
                self.o.p.i[lane].eq(delay(m, y[Y_FRACTION:Y_FRACTION + INTEGER_BITS], self.LATENCY, f"i_{lane}")),
            ]
        contract(m, Cat((mantissa > M_ONE >> 1) & (mantissa <= M_ONE) for mantissa in self.o.p.m).all(),
                 "mantissas lie above 2^15 and not above 2^16", when=self.o.valid)
        always_taken(m, self.o, "exponentials")
        return m
