"""The walk of a layer: every work item exactly once, in order, with a slot and a number that nobody else has."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.walker import Walker
from spatten_hw.stream.layouts import tag_layout

from .harnesses import held
from .reads import one_of


class WalkerHarness(wiring.Component):
    """Any job of at most `most` tokens. Around the walker: vectors that are decided and freed in any order, items that
    end in any order (one at a time), commands that are taken and halves that are filled at any time."""

    def __init__(self, config: SpAttenConfig, most: int):
        self.config = c = config
        self.most = most
        super().__init__({
            "start": In(1), "heads": In(c.max_heads), "alive": In(c.count_bits), "half_ready": In(2),
            "generate": In(1), "causal": In(1), "progressive": In(1), "group": In(c.max_group.bit_length()),
            "take_q": In(1), "take_k": In(1), "take_score": In(1), "lsb_ready": In(1),
            "decide": In(1), "flat": In(1), "decided_slot": In(c.slot_bits),
            "free": In(1), "free_slot": In(c.slot_bits), "ended": In(1), "ended_item": In(c.item_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.dut = dut = Walker(c)
        for port in (dut.q_cmd, dut.k_walk, dut.score_cmd):
            held(m, port, Assert)
        job = Cat(self.generate, self.causal, self.progressive, self.group, self.alive, self.heads)
        busy, before = Signal(), Signal(len(job))
        done = Signal(init=1)                       # the last `meta` has come, too
        m.d.sync += done.eq(dut.issued_all & ~self.start)
        m.d.sync += [before.eq(job), busy.eq(self.start | ~dut.issued_all)]
        m.d.comb += [
            dut.job.generate.eq(self.generate), dut.job.causal.eq(self.causal), dut.job.group.eq(self.group),
            dut.job.k_lsb.eq(Mux(self.progressive, 4, 0)),
            dut.start.eq(self.start), dut.heads.eq(self.heads), dut.alive.eq(self.alive),
            dut.half_ready.eq(self.half_ready), dut.lsb_ready.eq(self.lsb_ready),
            dut.q_cmd.ready.eq(self.take_q), dut.k_walk.ready.eq(self.take_k), dut.score_cmd.ready.eq(self.take_score),
            # What a validated job promises, and the sequencer: nothing changes while items are issued, nor the cycle
            # before.
            Assume((self.alive >= 1) & (self.alive <= self.most)),
            Assume((self.group >= 1) & (self.group <= c.max_group)), Assume(self.heads != 0),
            Assume(~(self.generate & self.causal)), Assume(~(busy | self.start) | (job == before)),
            Assume(~self.start | done),
        ]
        # Heads exist for the groups: with two members only the lower half of them.
        for head in range(c.max_heads):
            m.d.comb += Assume(~self.heads[head] | ((head + 1) * self.group <= c.max_heads))

        # Vectors in slots, and items.
        kept = data.StructLayout({"tag": tag_layout(c), "waits": 1, "decided": 1, "flat": 1})
        slots = [Signal(kept, name=f"slot_{n}") for n in range(c.slots)]
        taken, items, leaving = Signal(c.slots), Signal(c.items), Signal(c.items)
        meta, comes = dut.meta.p, dut.meta.valid
        decided = self.decide & dut.decided.ready
        position, member = Signal(c.count_bits), Signal(c.max_group.bit_length())
        m.d.comb += [
            dut.decided.valid.eq(self.decide), dut.decided.p.slot.eq(self.decided_slot),
            dut.decided.p.flat.eq(self.flat),
            dut.free.valid.eq(self.free), dut.free.p.slot.eq(self.free_slot), Assert(dut.free.ready),
            dut.items_freed.eq(self.ended), dut.items_first.eq(self.ended_item), dut.items_gang.eq(1),
            Assume((self.free_slot < c.slots) & (self.decided_slot < c.slots) & (self.ended_item < c.items)),
            Assume(~self.ended | leaving.bit_select(self.ended_item, 1)),
            Assume(~self.free | taken.bit_select(self.free_slot, 1)),
            Assume(~self.decide | taken.bit_select(self.decided_slot, 1)),
            Assume(~(self.free & self.decide & (self.free_slot == self.decided_slot))),
            Assert(~comes | ~taken.bit_select(meta.slot, 1)), Assert(~comes | ~items.bit_select(meta.tag.item, 1)),
        ]
        walk, walks = dut.k_walk.p, dut.k_walk.valid & dut.k_walk.ready
        drop = Signal()                             # a query of a prompt is flat: it is to come again
        dropped = Signal(c.items)
        for n, slot in enumerate(slots):
            here = decided & (self.decided_slot == n)
            asked = walks & walk.lsb & (walk.members >> ((n - walk.slot) % c.slots))[0]
            with m.If(self.decide & (self.decided_slot == n)):
                m.d.comb += [dut.decided.p.tag.eq(slot.tag), Assume(slot.waits & ~slot.decided)]
            with m.If(here):
                m.d.sync += [slot.decided.eq(1), slot.flat.eq(self.flat)]
                with m.If(self.flat & ~slot.tag.stream):
                    m.d.comb += [drop.eq(1), dropped.eq(one_of(1, slot.tag.item, c.items))]
            # A flat vector of a gang is free after its LSBs; of a vector that is not decided nothing is known.
            with m.If(self.free & (self.free_slot == n)):
                m.d.comb += Assume(~slot.waits | (slot.decided & ~(slot.flat & slot.tag.stream)))
                with m.If(~(slot.flat & ~slot.tag.stream)):
                    m.d.sync += leaving.bit_select(slot.tag.item, 1).eq(1)
            with m.If(asked):
                m.d.comb += Assert(taken[n] & slot.flat & slot.tag.stream & (slot.tag.kv_head == walk.kv_head))
                m.d.sync += slot.flat.eq(0)
            with m.If(comes & (meta.slot == n)):
                m.d.sync += [slot.tag.eq(meta.tag), slot.waits.eq(meta.progressive), slot.decided.eq(0),
                             slot.flat.eq(0)]
        m.d.sync += [
            taken.eq((taken & ~one_of(self.free, self.free_slot, c.slots)) | one_of(comes, meta.slot, c.slots)),
            items.eq((items & ~one_of(self.ended, self.ended_item, c.items) & ~dropped)
                     | one_of(comes, meta.tag.item, c.items)),
        ]
        with m.If(self.ended):
            m.d.sync += leaving.bit_select(self.ended_item, 1).eq(0)

        # The items: head by head, member by member, query by query; then the flat ones of the member.
        left = Signal(c.max_heads)
        lowest = Signal(c.head_bits)
        for head in reversed(range(c.max_heads)):
            with m.If(left[head]):
                m.d.comb += lowest.eq(head)
        last_member = member + 1 == self.group
        last_query = self.generate | (position + 1 == self.alive)
        first, again = comes & ~meta.tag.refetched, comes & meta.tag.refetched
        owed = Signal(range(self.most + 1))         # flat queries that have not come again
        m.d.sync += owed.eq(owed + drop - again)
        head_now, member_now = Signal.like(lowest), Signal.like(member)     # of the last first item
        with m.If(self.start):
            m.d.sync += left.eq(self.heads)
        with m.If(first):
            m.d.comb += [
                Assert(left != 0), Assert(meta.tag.kv_head == lowest),
                Assert(meta.tag.head == (lowest * self.group + member)[:c.head_bits]),
                Assert(self.generate | (meta["keys"][0] == Mux(self.causal, position + 1, self.alive))),
                Assert(meta.progressive == self.progressive), Assert(meta.tag.stream == self.generate),
                Assert((owed == 0) | (position != 0)),
            ]
            m.d.sync += [position.eq(Mux(last_query, 0, position + 1)), head_now.eq(lowest), member_now.eq(member)]
            with m.If(last_query):
                m.d.sync += member.eq(Mux(last_member, 0, member + 1))
                with m.If(last_member):
                    m.d.sync += left.eq(left & (left - 1)[:c.max_heads])
        with m.If(again):
            m.d.comb += [
                Assert(owed != 0), Assert(~self.generate), Assert(position == 0), Assert(meta.tag.kv_head == head_now),
                Assert(meta.tag.head == (head_now * self.group + member_now)[:c.head_bits]),
                Assert(~meta.progressive),
            ]
        once = Signal()
        with m.If(first):
            m.d.sync += once.eq(1)
        m.d.comb += Assert(~done | ((left == 0) & (owed == 0)))

        # The commands: of every item one, in order.
        after = Signal(range(max(2, c.slots)))
        with m.If(dut.q_cmd.valid & dut.q_cmd.ready):
            m.d.sync += after.eq(Mux(after == c.slots - 1, 0, after + 1))
        m.d.comb += Assert(~dut.q_cmd.valid | (dut.q_cmd.p.slot == after))
        m.d.comb += [
            Cover(done & self.generate & (self.group == 2) & (items == 0) & once),
            Cover(again & (self.alive == 2)), Cover(walks & walk.lsb & comes), Cover(taken.all() & self.free),
        ]
        return m
