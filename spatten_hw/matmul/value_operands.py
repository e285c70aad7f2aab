"""V operands of a product: from the SRAM or from memory, with or without their LSBs."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, SpAttenConfig
from ..primitives.pipeline import PART, Pipeline, copies


class ValueOperands(wiring.Component):
    """`o`, one cycle after the inputs: `read` of that later cycle if `stored`, else `streamed`.

    half_step: V's LSBs exist and are not used: the low 4 bits are 8, half a step of the MSBs.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        width = c.chunk * c.operand_bits
        super().__init__({
            "stored": In(1), "half_step": In(1), "streamed": In(width), "read": In(width), "o": Out(width),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        bits, low = c.operand_bits, min(LSB_WIDTH, c.operand_bits)
        parts = -(-c.chunk // PART)
        stored, half_step = (copies(m, flag, parts, name, reset=False)
                             for name, flag in (("stored_here", self.stored), ("half_step_here", self.half_step)))
        streamed = Pipeline(m).delay(self.streamed, 1, "streamed_here")
        for e in range(c.chunk):
            chosen = Signal(bits, name=f"operand{e}")
            fill = half_step[e // PART]
            m.d.comb += [
                chosen.eq(Mux(stored[e // PART], self.read.word_select(e, bits), streamed.word_select(e, bits))),
                self.o.word_select(e, bits).eq(
                    Cat(chosen[:low - 1] & ~fill.replicate(low - 1), chosen[low - 1] | fill, chosen[low:])),
            ]
        return m
