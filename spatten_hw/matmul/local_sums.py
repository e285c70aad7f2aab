"""Multipliers and accumulators of Prob×V where one slice does all: few sums, in look-up tables beside the adders."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.pipeline import PART, Pipeline
from ..primitives.registers import payload_register
from ..primitives.widths import wrap
from .value_layouts import sums_ports, word_bits


class LocalSums(wiring.Component):
    """N multipliers, and `sums` × 2**`word_bits` words of N exact sums: `ValueSums` for one slice (`local_sums` of the
    configuration), with the same ports.

    valid, sum, word, prob, operands: adds prob · operand to every sum of a word, one word per cycle, never stalls. Any
        word may follow any other: it is read, added to and stored in one cycle.
    drain, partial: a word, `LATENCY` cycles later, 0 if nothing was added since it was last read. It takes the place of
        a product in the pipeline, so there is none in that cycle; a row of one chunk loses one cycle so.

    Block memories of this width lie all over an FPGA: two copies, as in `ValueSums`, took 46 of `small`'s, and the
    wires to them did not find room (docs/fpga-findings.md).
    """

    #: From `drain` to `partial`: two stages of a product, output register.
    LATENCY = 3

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__(sums_ports(c))

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        stages = Pipeline(m)
        address = Signal(c.sum_bits + word_bits(c))
        m.d.comb += address.eq(Mux(self.drain.valid, Cat(self.drain.word, self.drain.sum), Cat(self.word, self.sum)))
        # What a word held before its first product is ignored.
        fresh = Signal(1 << len(address), init=-1)
        with m.If(self.valid | self.drain.valid):
            m.d.sync += fresh.bit_select(address, 1).eq(self.drain.valid)
        parts = -(-c.chunk // PART)
        ignored = stages.copies(stages.delay(fresh.bit_select(address, 1), 1, "ignored"), parts, "ignored_here")

        # Products.
        probs = stages.copies(self.prob, parts, "prob_here")
        operands = stages.delay(self.operands, 1, "operands_here")
        products = stages.stage([probs[e // PART] * operands.word_select(e, c.operand_bits).as_signed()
                                 for e in range(c.chunk)], "product")

        m.submodules.words = words = Memory(shape=self.partial.shape(), depth=1 << len(address), init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        place = stages.delay(address, 2, "place")
        m.d.comb += [read.addr.eq(place), write.addr.eq(place), write.en.eq(stages.flag(self.valid, 2, "store"))]
        partial = payload_register(m, self.partial, "partial_word")
        for e, product in enumerate(products):
            old = Signal.like(read.data[e], name=f"old{e}")
            m.d.comb += [
                old.eq(Mux(ignored[e // PART], 0, read.data[e])),
                # Fits: the sum of a work item does.
                write.data[e].eq(wrap(old + product, c.acc_bits)),
            ]
            m.d.sync += partial[e].eq(old)
        contract(m, ~(self.valid & self.drain.valid), "a word is read when there is no product", when=self.drain.valid)
        return m
