"""Pipelined reciprocal of the sum of exponentials."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.pipeline import delay
from ..primitives.rounding import guarded_shift, round_guarded, rounds_up
from ..primitives.widths import narrow
from .formats import M_FRACTION, R_BITS, T_BITS, k_bits, sum_bits, sum_fraction
from .rows import inverse


class Reciprocal(wiring.Component):
    """r = round_half_even(2^33 / t) with sum = (t / 2^16)·2^k, so 1/sum = r·2^(−17 − k). One sum per cycle.

    The sum's only rounding is to the 17 bits of t, half to even; a t that rounds up to 2^17 becomes 2^16 with
    k + 1. Then a restoring division of radix 4: a stage subtracts t, 2·t and 3·t in parallel, and so finds two
    quotient bits with the delay of one carry chain. Latency `LATENCY` cycles, no back-pressure. Valid input:
    1.0 ≤ sum ≤ max_tokens (E fraction bits).
    """

    #: Quotient bits after the leading one, with the half bit.
    STEPS = R_BITS
    BITS_PER_STAGE = 2
    #: Leading one, two shifts, rounding; first bit; division; rounding.
    LATENCY = 4 + 1 + STEPS // BITS_PER_STAGE + 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(sum_bits(config))),
            "o": Out(stream.Signature(inverse(config))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        t, k = self._normalised(m)
        self._divided(m, t, k)
        m.d.comb += [
            self.i.ready.eq(1),
            self.o.valid.eq(delay(m, self.i.valid, self.LATENCY, "valid", reset=True)),
        ]
        one = 1 << sum_fraction(self.config.max_tokens)
        contract(m, (self.i.payload >= one) & (self.i.payload <= self.config.max_tokens * one),
                 "a sum lies between 1 and the most tokens", when=self.i.valid)
        contract(m, (self.o.p.r > 1 << M_FRACTION) & (self.o.p.r <= 2 << M_FRACTION),
                 "r lies above 2^16 and not above 2^17", when=self.o.valid)
        contract(m, self.o.p.k <= clog2(self.config.max_tokens), "k is at most log2 of the most tokens",
                 when=self.o.valid)
        always_taken(m, self.o, "reciprocals")
        return m

    def _normalised(self, m: Module) -> tuple[Value, Value]:
        """(t, k), four stages after the input."""
        c = self.config
        fraction, top = sum_fraction(c.max_tokens), clog2(c.max_tokens)
        total = self.i.payload
        # Shifted left until its leading one is in the top place; `up` is how far, k = top − up.
        up = Signal(range(top + 1), reset_less=True)
        with m.If(total[-1]):
            m.d.sync += up.eq(0)
        for n in range(1, top + 1):
            with m.Elif(total[fraction + top - n]):
                m.d.sync += up.eq(n)
        total_held = delay(m, total, 1, "found")
        coarse = Signal(len(total), reset_less=True)
        fine = Signal(len(total), reset_less=True)
        up_fine = delay(m, up, 1, "up_fine")
        # The leading bits shifted out are zeros.
        m.d.sync += [
            coarse.eq(narrow(total_held << (up[2:] << 2), len(total)) if len(up) > 2 else total_held),
            fine.eq(narrow(coarse << up_fine[:2], len(total))),
        ]
        k = Signal(k_bits(c), reset_less=True)
        t = Signal(T_BITS, reset_less=True)
        next_remainder = len(total) - T_BITS
        rounded = Signal(T_BITS + 1)
        m.d.comb += rounded.eq(round_guarded(guarded_shift(fine, next_remainder)))
        up_round = delay(m, up_fine, 1, "up_round")
        m.d.sync += [
            t.eq(Mux(rounded[T_BITS], rounded[1:], rounded[:T_BITS])),
            # The largest sum is a power of two, so k + 1 never exceeds log2(max_tokens).
            k.eq(narrow(top - up_round + rounded[T_BITS], k_bits(c))),
        ]
        return t, k

    def _divided(self, m: Module, t: Value, k: Value) -> None:
        """Drives `o` from (t, k)."""
        stages = self.STEPS // self.BITS_PER_STAGE
        # 2^33 = 2^16·2^17: the first step checks whether t fits into 2^16, each stage appends two zeros.
        one = Signal()
        m.d.comb += one.eq(t == 1 << M_FRACTION)
        quotient: Value = delay(m, one, 1, "quotient_0")
        divisor: Value = delay(m, t, 1, "divisor_0")
        tripled = Signal(T_BITS + 2, name="tripled_0", reset_less=True)
        triple: Value = tripled
        remainder = Signal(T_BITS, name="remainder_0", reset_less=True)
        m.d.sync += [remainder.eq(Mux(one, 0, 1 << M_FRACTION)), tripled.eq(t + (t << 1))]
        for stage in range(1, stages + 1):
            shifted = Signal(T_BITS + 2, name=f"shifted_{stage}")
            differences = [Signal(T_BITS + 3, name=f"less_{times}_{stage}") for times in (1, 2, 3)]
            m.d.comb += [shifted.eq(narrow(remainder << 2, T_BITS + 2)), differences[0].eq(shifted - divisor),
                         differences[1].eq(shifted - (divisor << 1)), differences[2].eq(shifted - triple)]
            fits = [~difference[-1] for difference in differences]
            high = fits[1]
            # Each of the four is below the divisor, so T_BITS hold it.
            next_remainder = Mux(high, Mux(fits[2], differences[2][:T_BITS], differences[1][:T_BITS]),
                       Mux(fits[0], differences[0][:T_BITS], shifted[:T_BITS]))
            remainder = Signal(T_BITS, name=f"remainder_{stage}", reset_less=True)
            next_quotient = Signal(len(quotient) + 2, name=f"quotient_{stage}", reset_less=True)
            m.d.sync += [remainder.eq(next_remainder),
                         next_quotient.eq(Cat(Mux(high, fits[2], fits[0]), high, quotient))]
            quotient, divisor = next_quotient, delay(m, divisor, 1, f"divisor_{stage}")
            triple = delay(m, triple, 1, f"tripled_{stage}")
        # `quotient` now ends in the half bit, the remainder is what lies below it.
        r = Signal(R_BITS, reset_less=True)
        up = rounds_up(quotient[0], remainder != 0, quotient[1])
        m.d.sync += r.eq(narrow(quotient[1:] + up, R_BITS))
        m.d.comb += [self.o.p.r.eq(r), self.o.p.k.eq(delay(m, k, stages + 2, "k"))]
