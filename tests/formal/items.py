"""The walk of a layer: every work item exactly once, in order, each with a slot that nobody else has."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.walker import Walker

from .harnesses import held


class WalkerHarness(wiring.Component):
    """Any job of at most `most` tokens. Around the walker: slots that come back in any order, or ask for one replay
    before they do; command queues that are taken at any time; halves that are filled at any time."""

    def __init__(self, config: SpAttenConfig, most: int):
        self.config = c = config
        self.most = most
        slot = data.StructLayout({"slot": c.slot_bits})
        super().__init__({
            "start": In(1), "heads": In(c.max_heads), "alive": In(c.count_bits), "half_ready": In(2),
            "generate": In(1), "causal": In(1), "pair": In(1), "progressive": In(1),
            "group": In(c.max_group.bit_length()),
            "take_q": In(1), "take_k": In(1), "take_qk": In(1),
            "flat": In(stream.Signature(slot)), "free_valid": In(1), "free_slot": In(c.slot_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.dut = dut = Walker(c)
        held(m, self.flat, Assume)
        for port in (dut.q_cmd, dut.k_cmd, dut.qk_cmd):
            held(m, port, Assert)
        wiring.connect(m, wiring.flipped(self.flat), dut.flat)
        job = Cat(self.generate, self.causal, self.pair, self.progressive, self.group, self.alive, self.heads)
        busy, before = Signal(), Signal(len(job))
        m.d.sync += before.eq(job)
        m.d.comb += [
            dut.job.generate.eq(self.generate), dut.job.causal.eq(self.causal), dut.job.pair.eq(self.pair),
            dut.job.k_lsb.eq(Mux(self.progressive, 4, 0)), dut.job.group.eq(self.group),
            dut.start.eq(self.start), dut.heads.eq(self.heads), dut.alive.eq(self.alive),
            dut.half_ready.eq(self.half_ready),
            dut.q_cmd.ready.eq(self.take_q), dut.k_cmd.ready.eq(self.take_k), dut.qk_cmd.ready.eq(self.take_qk),
            dut.free.valid.eq(self.free_valid), dut.free.p.slot.eq(self.free_slot), Assert(dut.free.ready),
            # What a validated job promises, and the sequencer: nothing changes while items are issued.
            Assume((self.alive >= 1) & (self.alive <= self.most)),
            Assume((self.group >= 1) & (self.group <= c.max_group)),
            Assume(~self.pair | (self.group == 1)), Assume(~(self.generate & self.causal)),
            Assume(~busy | (job == before)), Assume(~self.start | dut.issued_all),
        ]
        m.d.sync += busy.eq(self.start | ~dut.issued_all)

        # The slots: whose turn, which are taken, which wait for a replay or have had one.
        taken, replayed = Signal(c.slots), Signal(c.slots)
        item = dut.meta.valid
        flat_moves = self.flat.valid & self.flat.ready
        free_bit = Mux(self.free_valid, Const(1, c.slots) << self.free_slot, 0)[:c.slots]
        meta = dut.meta.p
        m.d.comb += [
            Assume(~self.free_valid | ((self.free_slot < c.slots) & taken.bit_select(self.free_slot, 1))),
            Assume(~self.flat.valid | ((self.flat.p.slot < c.slots) & taken.bit_select(self.flat.p.slot, 1)
                                       & ~replayed.bit_select(self.flat.p.slot, 1) & self.progressive)),
            Assume(~(self.flat.valid & self.free_valid & (self.flat.p.slot == self.free_slot))),
            Assert(item == dut.item), Assert(~item | ~taken.bit_select(meta.slot, 1)),
            Assert(dut.replayed == flat_moves),
        ]
        new = Mux(item, Const(1, c.slots) << meta.slot, 0)[:c.slots]
        m.d.sync += [
            taken.eq((taken & ~free_bit) | new),
            replayed.eq((replayed | Mux(flat_moves, Const(1, c.slots) << self.flat.p.slot, 0)[:c.slots]) & ~new),
        ]

        # The items: head by head, query by query, member by member.
        left = Signal(c.max_heads)
        lowest = Signal(c.head_bits)
        position, member = Signal(c.count_bits), Signal(c.max_group.bit_length())
        for head in reversed(range(c.max_heads)):
            with m.If(left[head]):
                m.d.comb += lowest.eq(head)
        last_member = member + 1 == self.group
        last_query = self.generate | (position + 1 == self.alive)
        with m.If(self.start):
            m.d.sync += left.eq(self.heads)
        with m.If(item):
            m.d.comb += [
                Assert(left != 0), Assert(meta.tag.kv_head == lowest),
                Assert(meta.tag.head == (lowest * self.group + member)[:c.head_bits]),
                Assert(meta.keys == Mux(self.causal, position + 1, self.alive)),
                Assert(meta.progressive == self.progressive), Assert(meta.tag.stream_v == self.generate),
            ]
            m.d.sync += member.eq(Mux(last_member, 0, member + 1))
            with m.If(last_member):
                m.d.sync += position.eq(Mux(last_query, 0, position + 1))
                with m.If(last_query):
                    m.d.sync += left.eq(left & (left - 1)[:c.max_heads])
        m.d.comb += Assert(~dut.issued_all | (left == 0))

        # The commands: of every item one, in order, its slot still its own; of every replay one.
        qk = dut.qk_cmd.p
        waiting = Signal(c.slots)     # replays that are asked for, their commands not yet out
        qk_moves = dut.qk_cmd.valid & dut.qk_cmd.ready
        first = qk_moves & ~qk.replay
        after = {name: Signal(range(max(2, c.slots)), name=f"{name}_slot") for name in ("q", "qk")}
        m.d.sync += [
            after["q"].eq((after["q"] + (dut.q_cmd.valid & dut.q_cmd.ready)) % c.slots),
            after["qk"].eq((after["qk"] + Mux(first, qk.gang, 0)) % c.slots),
            waiting.eq((waiting & ~Mux(qk_moves & qk.replay, Const(1, c.slots) << qk.slot, 0)[:c.slots])
                       | Mux(flat_moves, Const(1, c.slots) << self.flat.p.slot, 0)[:c.slots]),
        ]
        m.d.comb += [
            Assert(~dut.q_cmd.valid | (dut.q_cmd.p.slot == after["q"])),
            Assert(~dut.qk_cmd.valid | qk.replay | (qk.slot == after["qk"])),
            Assert(~dut.qk_cmd.valid | ~qk.replay | waiting.bit_select(qk.slot, 1)),
            Assert(~dut.qk_cmd.valid | (qk.gang <= c.slots)),
            # The decision that frees a slot comes of its replay's scores.
            Assume(~self.free_valid | ~waiting.bit_select(self.free_slot, 1)),
        ]
        # As many K streams as commands that want one, and items as their commands' gangs say.
        owed = Signal(6)
        streams = Signal(6)
        m.d.sync += [
            owed.eq(owed + item - Mux(first, qk.gang, 0)),
            streams.eq(streams + (dut.k_cmd.valid & dut.k_cmd.ready) - (qk_moves & qk.stream)),
        ]
        with m.If(dut.issued_all & ~dut.qk_cmd.valid):
            m.d.comb += Assert(owed == 0)
            with m.If(~dut.k_cmd.valid):
                m.d.comb += Assert(streams == 0)
        once = Signal()
        m.d.sync += once.eq(once | (self.start & (self.heads == (1 << c.max_heads) - 1)))
        m.d.comb += [
            Cover(once & dut.issued_all & ~self.generate & (self.alive == 2)),
            Cover(once & dut.issued_all & self.generate & self.pair),
            Cover(once & dut.issued_all & self.generate & (self.group == 2)),
            Cover(qk_moves & qk.replay & item), Cover(taken.all() & self.free_valid & self.start & once),
        ]
        return m
