"""Which classes of reads are outstanding."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from .read_issue import AskedClass, issued_read


def waits_layout() -> data.StructLayout:
    """For which classes reads are outstanding: Q, K (both planes), V, words."""
    return data.StructLayout({"q": 1, "k": 1, "v": 1, "words": 1})


class ReadWaits(wiring.Component):
    """`waits`: a read of the class has been issued, and a beat of it is still to come; from registers."""

    #: the read that goes out now
    issued: data.View
    #: the read whose last beat has come
    completed: Signal
    completed_valid: Signal
    #: classes with a read in flight
    waits: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "issued": In(issued_read(c)), "completed": In(c.id_bits), "completed_valid": In(1),
            "waits": Out(waits_layout()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.classes = classes = memory.Memory(shape=unsigned(2), depth=c.reads, init=[])
        into, from_ = classes.write_port(), classes.read_port(domain="comb")
        asked = self.issued.asked
        m.d.comb += [
            into.addr.eq(self.issued.id), into.en.eq(self.issued.valid), from_.addr.eq(self.completed),
            into.data.eq(Mux(asked == AskedClass.Q, 0, Mux((asked == AskedClass.K_MSB) | (asked == AskedClass.K_LSB), 1,
                                                           Mux(asked == AskedClass.OTHER, 3, 2)))),
        ]
        waits = []
        for n in range(4):
            reads = Signal(range(c.reads + 1), name=f"reads{n}")
            goes = Signal(name=f"goes{n}")
            comes = Signal(name=f"comes{n}")
            m.d.comb += [goes.eq(self.issued.valid & (into.data == n)),
                         comes.eq(self.completed_valid & (from_.data == n))]
            m.d.sync += reads.eq(reads + goes - comes)
            contract(m, (reads != 0) | ~comes, f"reads of class {n} come only if there are any")
            waits.append(reads != 0)
        m.d.comb += self.waits.as_value().eq(Cat(waits))
        return m
