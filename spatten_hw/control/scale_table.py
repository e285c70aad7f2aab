"""Scale table: how the scores of each query head become exponents, and how its sums become outputs."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..primitives.registers import NO_COLLISIONS
from ..stream.job_layouts import scale_layout

#: Jobs whose scales the table holds: one in each stage (`stages.py`), one that waits, one that is being read.
SETS = 4
SET_BITS = 2
#: Cycles from index to entry.
READ_LATENCY = 1


class ScaleTable(wiring.Component):
    """`SETS` sets of `max_heads` entries: for the jobs that run and those that the job reader has read ahead.

    `write_en`, `write_set`, `write_head`, `write_entry`: one entry per cycle. Two readers, each with a memory
    of its own: `softmax_set`, `softmax_head` → `softmax`, and `out_set`, `out_head` → `out`, one cycle later
    (`READ_LATENCY`). An entry must not be read in the cycle it is written; the sets ensure that.
    """

    #: An entry is written.
    write_en: Signal
    #: To this set.
    write_set: Signal
    #: And this head.
    write_head: Signal
    #: The entry.
    write_entry: data.View
    #: Set that the softmax reads.
    softmax_set: Signal
    #: Head that it reads.
    softmax_head: Signal
    #: The entry, one cycle later.
    softmax: data.View
    #: Set that the requantiser reads.
    out_set: Signal
    #: Head that it reads.
    out_head: Signal
    #: The entry, one cycle later.
    out: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "write_en": In(1), "write_set": In(SET_BITS), "write_head": In(config.head_bits),
            "write_entry": In(scale_layout()),
            "softmax_set": In(SET_BITS), "softmax_head": In(config.head_bits), "softmax": Out(scale_layout()),
            "out_set": In(SET_BITS), "out_head": In(config.head_bits), "out": Out(scale_layout()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        for name, set_, head, entry in (("softmax", self.softmax_set, self.softmax_head, self.softmax),
                                        ("out", self.out_set, self.out_head, self.out)):
            memory = Memory(shape=len(Value.cast(self.write_entry)), depth=SETS << c.head_bits, init=[],
                            attrs=NO_COLLISIONS)
            m.submodules[f"{name}_memory"] = memory
            write = memory.write_port()
            read = memory.read_port(transparent_for=())
            m.d.comb += [
                write.addr.eq(Cat(self.write_head, self.write_set)), write.en.eq(self.write_en),
                write.data.eq(self.write_entry),
                read.addr.eq(Cat(head, set_)), read.en.eq(1), entry.eq(read.data),
            ]
        return m
