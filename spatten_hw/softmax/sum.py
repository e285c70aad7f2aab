"""Sum of a vector's exponentials, exact after one rounding per key."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import delay
from ..primitives.rounding import guarded, round_guarded, sticky_shift
from ..primitives.tree import tree_stages
from ..primitives.widths import narrow
from .formats import M_BITS, sum_bits, sum_fraction
from .rows import exp_row


class ExpSum(wiring.Component):
    """Σ round_shift(m·2^(E − 16), i) over a vector's live lanes, E fraction bits; one S-lane row per cycle.

    `o` holds the sum for one cycle, `latency` = 4 + ceil(log2(S) / 2) cycles after the vector's last row. Vectors
    follow each other without a gap, whatever their lengths. No back-pressure. Never overflows: at most max_tokens
    keys of at most 1.0. Valid input: at least one live lane per vector.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = config
        #: Two shifts, rounding, two levels of adders at a time, accumulator.
        self.latency = 3 + tree_stages(config.slices) + 1
        super().__init__({
            "i": In(stream.Signature(exp_row(config))),
            "o": Out(stream.Signature(unsigned(sum_bits(config)))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        row = self.i.p
        width = sum_fraction(c.max_tokens) + 1
        terms: list[Value] = []
        for lane in range(c.slices):
            wide = Signal(width, name=f"wide_{lane}")
            coarse = Signal(width + 2, name=f"coarse_{lane}", reset_less=True)
            fine = Signal(width + 2, name=f"fine_{lane}", reset_less=True)
            term = Signal(width, name=f"term_{lane}", reset_less=True)
            fine_amount = delay(m, row.i[lane][:3], 1, f"fine_amount_{lane}")
            live = delay(m, row.info.live[lane], 2, f"live_{lane}")
            m.d.comb += wide.eq(Cat(Const(0, width - M_BITS), row.m[lane]))
            m.d.sync += [
                coarse.eq(sticky_shift(m, guarded(wide), row.i[lane][3:], 8, f"coarse_{lane}")),
                fine.eq(sticky_shift(m, coarse, fine_amount, 1, f"fine_{lane}")),
                # 1.0 is the largest term and has no bits to round, so rounding never carries out.
                term.eq(Mux(live, narrow(round_guarded(fine), width), 0)),
            ]
            terms.append(term)

        row_sum = adder_tree(m, terms, "row_sum")

        before = self.latency - 1
        valid = delay(m, self.i.valid, before, "valid", reset=True)
        first = delay(m, row.info.first, before, "first")
        last = delay(m, row.info.last, before, "last")
        total = Signal(sum_bits(c), reset_less=True)
        with m.If(valid):
            m.d.sync += total.eq(narrow(Mux(first, 0, total) + row_sum, sum_bits(c)))
        m.d.comb += [
            self.i.ready.eq(1),
            self.o.valid.eq(delay(m, valid & last, 1, "done", reset=True)),
            self.o.payload.eq(total),
        ]
        beyond = ~row.info.first if c.chunk_queries else 0       # of keys that the query does not see
        contract(m, row.info.live.any() | beyond, "every row has a live lane", when=self.i.valid)
        contract(m, total <= c.max_tokens << sum_fraction(c.max_tokens), "a sum is at most that of all tokens",
                 when=self.o.valid)
        always_taken(m, self.o, "sums")
        return m
