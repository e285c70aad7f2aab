"""Gangs with members whose distribution is flat: their LSBs are asked for (SpAtten, section III-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..softmax.rows import decision_notice
from ..stream.fifo import StreamFifo
from ..stream.layouts import key_walk_command


def seen_keys(c: SpAttenConfig) -> dict[str, wiring.Member]:
    """What a walk must know of the keys of a gang, where gangs of a job see different ones (`chunk_queries`)."""
    return {"limit": In(c.count_bits), "final_row": In(c.row_bits)}


class Replays(wiring.Component):
    """Collects the decisions of a gang (generation), then asks for the LSBs of its flat members at once.

    `opens` (with the number of a gang's `first` item) precedes the gang's first decision. When all `tag.gang` members
    are decided and some are flat, `walk` has one command for them (`lsb`). A gang's slots are consecutive, as its items
    are. Decisions of prompts pass by. One decision per cycle, none in the cycle of a `opens`.
    With `chunk_queries` the gang that `opens` sees keys below `limit`, the last ones of which are in row `final_row`.
    """

    decided: stream.Interface
    walk: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "decided": In(stream.Signature(decision_notice(c))),
            "opens": In(1), "first": In(c.item_bits), **(dict(seen_keys(c)) if c.chunk_queries else {}),
            "walk": Out(stream.Signature(key_walk_command(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        p = self.decided.payload
        tag = p.tag
        # One entry per gang, under its first item: how many members are decided, and which are flat.
        entry = data.StructLayout({"count": unsigned(c.max_group.bit_length()), "flat": unsigned(c.max_group),
                                   **({"seen": data.StructLayout({n: p.shape for n, p in seen_keys(c).items()})}
                                      if c.chunk_queries else {})})
        m.submodules.gangs = gangs = Memory(shape=entry, depth=c.items, init=[])
        m.submodules.walks = walks = StreamFifo(key_walk_command(c), c.slots)
        write, read = gangs.write_port(), gangs.read_port(domain="comb")
        member = Signal(c.item_bits)
        flat = Signal(c.max_group)
        take = Signal()
        complete = Signal()
        m.d.comb += [
            member.eq((tag.item - tag.first)[:c.item_bits]),
            self.decided.ready.eq(~self.opens), take.eq(self.decided.valid & ~self.opens),
            read.addr.eq(tag.first),
            flat.eq(read.data.flat | Mux(p.flat, (Const(1, c.max_group) << member)[:c.max_group], 0)),
            complete.eq(read.data["count"] + 1 == tag.gang),
            write.addr.eq(Mux(self.opens, self.first, tag.first)), write.en.eq(self.opens | (take & tag.stream)),
        ]
        with m.If(~self.opens):
            m.d.comb += [write.data["count"].eq(read.data["count"] + 1), write.data.flat.eq(flat)]
        if c.chunk_queries:
            for name in seen_keys(c):
                m.d.comb += [
                    write.data.seen[name].eq(Mux(self.opens, getattr(self, name), read.data.seen[name])),
                    walks.i.p[name].eq(read.data.seen[name]),
                ]
        m.d.comb += [
            walks.i.valid.eq(take & tag.stream & complete & flat.any()),
            walks.i.p.kv_head.eq(tag.kv_head), walks.i.p.slot.eq((p.slot - member)[:c.slot_bits]),
            walks.i.p.members.eq(flat), walks.i.p.lsb.eq(1),
        ]
        wiring.connect(m, walks.o, wiring.flipped(self.walk))
        contract(m, walks.i.ready, "there is room for a walk of every gang", when=walks.i.valid)
        contract(m, read.data["count"] < tag.gang, "a gang has no more decisions than members", when=take & tag.stream)
        return m


def members_of(c: SpAttenConfig, gang):
    """A bit for each of `gang` members."""
    return Cat(n < gang for n in range(c.max_group))
