"""Pass 3: exponentials times the reciprocal of their sum, to final probabilities."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..contract import contract
from ..primitives.pipeline import copies, delay
from ..primitives.rounding import guarded_shift, round_guarded, sticky_shift
from ..primitives.widths import narrow, saturate
from ..stream.fifo import never_full, never_full_latency
from ..stream.layouts import prob_row
from .formats import M_BITS, M_FRACTION, PROB_SHIFT, R_BITS
from .rows import exp_row, header

#: m·r ≤ 2^16·2^17: shifted by PROB_SHIFT it fits these bits, and a further shift of as many or more gives 0.
TOP_BITS = M_FRACTION + (R_BITS - 1) + 1 - PROB_SHIFT


class Normalise(wiring.Component):
    """Probabilities of one row per cycle, p = saturate(round_shift(m·r, PROB_SHIFT + i + k)), 12 bits unsigned.

    Dead lanes are 0. `header`: one per vector, in order; `rows`: its exponentials, the last one marked. Vectors whose
    header says `drop` are taken at one row per cycle and give no output (while `o` is full, they wait like all others,
    so that taking a row depends on no payload). Latency `LATENCY` cycles from both valid to `o`; one row per cycle, no
    idle cycle between vectors. `o` may stall (ends in a FIFO with credits, which also cuts the ready path).
    `popped`/`vector_popped`: a row / a header was taken in this cycle.
    """

    #: Register stages in front of the FIFO.
    STAGES = 4
    #: Rows between the first stage and `o`: enough that no gap comes from the latency of a returning credit, and one
    #: more, since the count of credits is read a cycle late: at least two then guarantee that one is left.
    CREDITS = STAGES + 5
    LATENCY = STAGES + never_full_latency(CREDITS)

    header: stream.Interface
    rows: stream.Interface
    o: stream.Interface
    popped: Signal
    vector_popped: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "header": In(stream.Signature(header(config))),
            "rows": In(stream.Signature(exp_row(config))),
            "o": Out(stream.Signature(prob_row(config))),
            "popped": Out(1), "vector_popped": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        head, row = self.header.p, self.rows.p
        credits = Signal(range(self.CREDITS + 1), init=self.CREDITS)
        take = Signal()
        keep = Signal()
        returned = Signal()
        # Two copies, since the queues of rows and headers may lie apart. They are computed a cycle ahead: the signals
        # that a row comes, and that it is kept, are on long paths.
        room, header_room = copies(m, credits > 1, 2, "room", init=1)
        m.d.comb += [
            take.eq(self.header.valid & self.rows.valid & room),
            keep.eq(take & ~head.drop),
            self.rows.ready.eq(take),
            self.header.ready.eq(self.header.valid & self.rows.valid & header_room & row.info.last),
            self.popped.eq(take),
            self.vector_popped.eq(take & row.info.last),
            returned.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += credits.eq(credits - keep + returned)

        aside = Signal(data.StructLayout({"info": row.info.shape(), "tag": head.tag.shape()}))
        m.d.comb += [aside.info.eq(row.info), aside.tag.eq(head.tag)]
        done = delay(m, keep, self.STAGES, "valid", reset=True)
        aside_done = delay(m, aside, self.STAGES, "around")

        m.submodules.out_rows = out_rows = never_full(prob_row(c), self.CREDITS)
        m.d.comb += [
            out_rows.i.valid.eq(done),
            out_rows.i.p.live.eq(aside_done.info.live),
            out_rows.i.p.last.eq(aside_done.info.last),
            out_rows.i.p.tag.eq(aside_done.tag),
            self.o.valid.eq(out_rows.o.valid),
            self.o.payload.eq(out_rows.o.payload),
            out_rows.o.ready.eq(self.o.ready),
        ]

        r = delay(m, head.inverse.r, 1, "r")
        k = delay(m, head.inverse.k, 1, "k")
        for lane in range(c.slices):
            mantissa = delay(m, row.m[lane], 1, f"m_{lane}")
            exponent = delay(m, row.i[lane], 1, f"i_{lane}")
            live = delay(m, row.info.live[lane], self.STAGES - 1, f"live_{lane}")
            product = Signal(M_BITS + R_BITS, name=f"product_{lane}", reset_less=True)
            extra = Signal(unsigned(max(len(exponent), len(k)) + 1), name=f"extra_{lane}")
            shift = Signal(range(TOP_BITS + 2), name=f"shift_{lane}", reset_less=True)
            top = Signal(TOP_BITS + 2, name=f"top_{lane}")
            moved = Signal(TOP_BITS + 2, name=f"moved_{lane}", reset_less=True)
            probability = Signal(PROB_BITS, name=f"p_{lane}", reset_less=True)
            m.d.comb += [
                extra.eq(exponent + k),
                top.eq(narrow(guarded_shift(product, PROB_SHIFT), len(top))),
                out_rows.i.p.probs[lane].eq(probability),
            ]
            m.d.sync += [
                product.eq(mantissa * r),
                # At most one more than the width: all bits, the half included, then move below the guard bit.
                shift.eq(narrow(Mux(extra > TOP_BITS, TOP_BITS + 1, extra), len(shift))),
                moved.eq(sticky_shift(m, top, shift, 1, f"moved_{lane}")),
                probability.eq(Mux(live, saturate(round_guarded(moved), unsigned(PROB_BITS)), 0)),
            ]
        contract(m, credits <= self.CREDITS, "no more credits come back than there are")
        contract(m, credits != 0, "a row is taken only on a credit", when=keep)
        contract(m, room == header_room, "rows and headers see the same room")
        return m
