"""Scale table: how the scores of each query head become exponents, and its sums outputs."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from .descriptor import scale_layout

#: Cycles from index to entry.
READ_LATENCY = 1


class ScaleTable(wiring.Component):
    """Two halves of `max_heads` entries: one for the running job, one that the job reader fills for the next.

    `write_en`, `write_half`, `write_head`, `write_entry`: one entry per cycle. Two readers, each with a memory
    of its own: `softmax_half`, `softmax_head` → `softmax`, and `out_half`, `out_head` → `out`, one cycle later
    (`READ_LATENCY`). An entry must not be read in the cycle it is written; halves make sure of that.
    """

    write_en: Signal
    write_half: Signal
    write_head: Signal
    write_entry: data.View
    softmax_half: Signal
    softmax_head: Signal
    softmax: data.View
    out_half: Signal
    out_head: Signal
    out: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "write_en": In(1), "write_half": In(1), "write_head": In(config.head_bits),
            "write_entry": In(scale_layout()),
            "softmax_half": In(1), "softmax_head": In(config.head_bits), "softmax": Out(scale_layout()),
            "out_half": In(1), "out_head": In(config.head_bits), "out": Out(scale_layout()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        for name, half, head, entry in (("softmax", self.softmax_half, self.softmax_head, self.softmax),
                                        ("out", self.out_half, self.out_head, self.out)):
            memory = Memory(shape=len(Value.cast(self.write_entry)), depth=2 << c.head_bits, init=[])
            m.submodules[f"{name}_memory"] = memory
            write = memory.write_port()
            read = memory.read_port(transparent_for=())
            m.d.comb += [
                write.addr.eq(Cat(self.write_head, self.write_half)), write.en.eq(self.write_en),
                write.data.eq(self.write_entry),
                read.addr.eq(Cat(head, half)), read.en.eq(1), entry.eq(read.data),
            ]
        return m
