"""Walks a layer: alive head → query head of the group → query, and issues one work item each."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.adder_tree import balanced_sum
from ..primitives.one_hot import lowest_index, without_lowest
from ..primitives.products import times_few
from ..primitives.widths import narrow
from ..softmax.rows import decision_notice
from ..stream.fifo import StreamFifo
from ..stream.job_layouts import job_layout
from ..stream.layouts import key_walk_command, q_command, score_command, slice_counts, slot_meta
from .block_walk import GangPlace, walk_blocks, walk_contracts
from .blocks import Blocks
from .flat_queries import FlatQueries
from .item_issue import ItemIssue
from .replays import Replays, members_of
from .tickets import gang_bits, one_bit

#: Walks that may be under way at a time, by the least number of rows that each has. Few, where they are long: an LSB
#: walk has to wait for those before it, and K goes before V only when all are on their way. But as many as keep the
#: walk busy. As measured: `generate-1000` of `eighth` (500 rows) takes 1.083, 1.069, 1.084, 1.106, 1.228 of its bound
#: with 1, 2, 3, 4, any number; that of `full` (62 rows) 1.162, 1.111, 1.096 with 3, 6, 15.
AHEAD = {0: 15, 64: 4, 128: 2}


class Walker(wiring.Component):
    """Issues what a work item needs: a slot and an item number, `q_cmd`, `meta`, and `k_walk` (generation, once per
    gang) or `score_cmd` (prompts).

    `start` takes `heads` (bitmap) and `alive` (tokens); `issued_all` is high from the last item on until the next
    start. Generation: the `group` queries of a head are a gang: one item per cycle, then one cycle issues the walk over
    the head's K rows. LSB walks of gangs with flat members go first; `walked` pulses when a walk has asked for all its
    rows, and only a few are issued ahead of it (`AHEAD`). Prompts: the items of a head start once
    `half_ready[half]`, one per cycle, query head by query head. Where LSBs exist, the flat queries of a query head
    follow after its last decision, as new items with `refetched`, once the head's LSBs are in the SRAMs: `lsb_wanted`
    asks for them, `lsb_ready` says so. `half_done[half]` pulses when the head's last item is issued.

    `slot_taken` pulses with `slot` as a slot is given to an item. `free` gives slots back, `items_freed` (a pulse)
    `items_gang` item numbers from `items_first` on. `item`, `item_half`: an item was issued, `query`: the first one of
    a query; `dropped`, `dropped_half`: a flat one is gone; `replayed`: queries whose LSBs are asked for in this cycle.
    `meta`, `free` and `slot_taken` are always taken. With `chunk_queries` a generation job may have several queries: a
    gang is then of a block of them (`Blocks`), block after block of a head.
    """

    q_cmd: stream.Interface
    k_walk: stream.Interface
    score_cmd: stream.Interface
    meta: stream.Interface
    decided: stream.Interface
    free: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)),
            "start": In(1), "heads": In(c.max_heads), "alive": In(c.count_bits), "counts": In(slice_counts(c)),
            "half_ready": In(2), "half_done": Out(2), "lsb_wanted": Out(1), "lsb_ready": In(1),
            "lsb_half": Out(1),
            "list_row": Out(c.row_bits), "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.slices)),
            "q_cmd": Out(stream.Signature(q_command(c))),
            "k_walk": Out(stream.Signature(key_walk_command(c))), "walked": In(1),
            "score_cmd": Out(stream.Signature(score_command(c))),
            "meta": Out(stream.Signature(slot_meta(c))),
            "decided": In(stream.Signature(decision_notice(c))),
            "free": In(stream.Signature(data.StructLayout({"slot": c.slot_bits}))),
            "items_freed": In(1), "items_first": In(c.item_bits), "items_gang": In(c.max_group.bit_length()),
            "slot_taken": Out(1), "slot": Out(c.slot_bits),
            "issued_all": Out(1), "item": Out(1), "item_half": Out(1), "query": Out(1),
            "replayed": Out(c.max_group.bit_length()),
            "dropped": Out(1), "dropped_half": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, job = self.config, self.job
        m.submodules.issue = issue = ItemIssue(c)
        m.submodules.replays = replays = Replays(c)
        m.submodules.flat_queries = flats = FlatQueries(c)
        blocks = None
        if c.chunk_queries:
            m.submodules.blocks = blocks = Blocks(c)
            m.d.comb += [blocks.job.eq(job), blocks.counts.eq(self.counts), blocks.start.eq(self.start),
                         issue.dead.eq(blocks.dead), replays.limit.eq(blocks.current.limit),
                         replays.final_row.eq(blocks.current.final_row)]
        m.submodules.k_fifo = k_fifo = StreamFifo(key_walk_command(c), 4)
        connect(m, k_fifo.o, flipped(self.k_walk))
        connect(m, flipped(self.decided), replays.decided)
        for name in ("q_cmd", "score_cmd", "meta"):
            connect(m, getattr(issue, name), flipped(getattr(self, name)))
        take = Signal()
        again = Signal()
        m.d.comb += [
            issue.job.eq(job), issue.alive.eq(self.alive), issue.counts.eq(self.counts),
            issue.list_ids.eq(self.list_ids), issue.take.eq(take), self.item.eq(take),
            self.slot_taken.eq(take), self.slot.eq(issue.slot), self.query.eq(take & ~again),
            issue.slots_freed.eq(one_bit(self.free.valid, self.free.payload.slot, c.slots)), self.free.ready.eq(1),
        ]
        freed = gang_bits(m, self.items_freed, self.items_first, self.items_gang, c.items, c.max_group, "freed")
        m.d.comb += issue.items_freed.eq(freed | one_bit(flats.dropped, flats.dropped_item, c.items))
        decided = self.decided
        m.d.comb += [
            flats.note.eq(take & issue.progressive & ~again & ~job.generate), flats.note_slot.eq(issue.slot),
            flats.note_position.eq(narrow(issue.place.position, c.token_bits)),
            flats.decided.eq(decided.valid & decided.ready & ~decided.payload.tag.stream),
            flats.notice.eq(decided.payload), flats.head_end.eq(self.half_done.any()),
            flats.lsb_ready.eq(self.lsb_ready), self.lsb_wanted.eq(flats.lsb_wanted),
            self.dropped.eq(flats.dropped), self.dropped_half.eq(flats.dropped_half),
        ]
        walk = stream.Signature(key_walk_command(c)).create(path=("walk",))
        room = self._room(m, walk.valid & walk.ready)
        m.d.comb += [k_fifo.i.valid.eq(walk.valid & room), walk.ready.eq(k_fifo.i.ready & room),
                     k_fifo.i.payload.eq(walk.payload)]
        self._walk(m, issue, replays, flats, walk, take, again, blocks)
        return m

    def _room(self, m: Module, sent: Value) -> Value:
        """Another walk may be `sent`."""
        ahead = Signal(range(max(AHEAD.values()) + 1))
        most = Signal.like(ahead)
        rows = self.alive >> clog2(self.config.slices)
        for least, count in AHEAD.items():
            with m.If(rows >= least if least else 1):
                m.d.sync += most.eq(count)
        m.d.sync += ahead.eq(ahead + sent - self.walked)
        contract(m, ahead != 0, "only a walk that was issued ends", when=self.walked)
        return ahead < most

    def _walk(self, m: Module, issue: ItemIssue, replays: Replays, flats: FlatQueries, walk: stream.Interface,
              take: Signal, again: Signal, blocks: Blocks | None) -> None:
        """Where the walk is, and where it goes next."""
        c, job = self.config, self.job
        place = issue.place
        left = Signal(c.max_heads)
        kv_head = Signal(c.head_bits)
        first_head = Signal(c.head_bits)
        member = Signal(c.max_group.bit_length())
        position = Signal(c.count_bits)
        next_position = Signal(c.count_bits)
        half = Signal()
        first_slot = Signal(c.slot_bits)
        first_item = Signal(c.item_bits)
        next_head = lowest_index(m, left, "next_head")
        last_member = Signal()
        m.d.comb += [
            place.kv_head.eq(kv_head), place.first_head.eq(first_head), place.member.eq(member),
            place.position.eq(position), place.half.eq(half), place.again.eq(again), place.first_item.eq(first_item),
            # The row of the next position is read now, so that its ids are there with the position.
            next_position.eq(position),
            self.list_row.eq(narrow(next_position >> clog2(c.slices), c.row_bits)),
            self.item_half.eq(half), self.lsb_half.eq(half), last_member.eq(member + 1 == job.group),
            replays.first.eq(first_item),
            # Walks for LSBs first: they hold slots.
            walk.valid.eq(replays.walk.valid),
            replays.walk.ready.eq(walk.ready),
            self.replayed.eq(Mux(replays.walk.valid & walk.ready, balanced_sum(list(replays.walk.payload.members)),
                                 take & again)),
        ]
        with m.If(replays.walk.valid):
            m.d.comb += walk.payload.eq(replays.walk.payload)
        m.d.sync += position.eq(next_position)

        def next_query_head() -> None:
            """The head's next query head, or the next head."""
            m.d.sync += again.eq(0)
            m.d.comb += next_position.eq(0)
            with m.If(last_member):
                m.d.comb += self.half_done.eq(Cat(~half, half))
                m.d.sync += half.eq(~half)
                m.next = "HEAD"
            with m.Else():
                m.d.sync += member.eq(member + 1)
                m.next = "ITEMS"

        if blocks is not None:
            at = GangPlace(kv_head, first_slot, first_item, member, last_member, position, next_position,
                           Signal(c.count_bits, name="seen"), Signal(c.max_group.bit_length(), name="positions_left"))
            walk_contracts(m, blocks, at, take & job.generate)
        with m.FSM(name="walk") as fsm:
            with m.State("IDLE"):
                m.d.comb += self.issued_all.eq(1)
                with m.If(self.start):
                    m.d.sync += [left.eq(self.heads), half.eq(0)]
                    m.next = "HEAD"
            with m.State("HEAD"):
                m.d.sync += [
                    kv_head.eq(next_head), left.eq(without_lowest(left)), member.eq(0),
                    first_head.eq(narrow(times_few(next_head, job.group), c.head_bits)),
                    first_slot.eq(issue.slot), first_item.eq(issue.item),
                ]
                m.d.comb += next_position.eq(0)
                m.next = "ITEMS"
                with m.If(left == 0):
                    m.next = "IDLE"
                with m.Elif(job.generate):
                    m.next = "BEGIN"
            # -- generation -------------------------------------------------------------------------------
            if blocks is not None:
                walk_blocks(m, blocks, issue, replays, walk, take, at)
            else:
                self._gang(m, issue, replays, walk, take, kv_head, first_slot, member, last_member)
            # -- prompts ----------------------------------------------------------------------------------
            with m.State("ITEMS"), m.If(self.half_ready.bit_select(half, 1) & issue.ready):
                m.d.comb += [take.eq(1), next_position.eq(position + 1)]
                with m.If(position + 1 == self.alive):
                    m.next = "SECOND"
                    with m.If(~issue.progressive):
                        next_query_head()
            with m.State("SECOND"):          # the flat queries once more
                m.d.comb += flats.issued.eq(1)
                with m.If(flats.nothing):
                    next_query_head()
                with m.Elif(flats.o.valid):
                    m.d.comb += next_position.eq(flats.o.payload.position)
                    m.d.sync += again.eq(1)
                    m.next = "AGAIN"
            with m.State("AGAIN"), m.If(issue.ready):
                m.d.comb += [take.eq(1), flats.o.ready.eq(1)]
                m.next = "SECOND"
                with m.If(flats.o.payload.last):
                    next_query_head()
        contract(m, fsm.ongoing("IDLE"), "a job starts when all items of the one before are issued", when=self.start)
        contract(m, (self.heads != 0) & (self.alive != 0), "a job that starts has heads and tokens", when=self.start)

    def _gang(self, m: Module, issue: ItemIssue, replays: Replays, walk: stream.Interface, take: Signal,
              kv_head: Signal, first_slot: Signal, member: Signal, last_member: Signal) -> None:
        """States of generation: the queries of a head's group, then the walk over its keys."""
        c, job = self.config, self.job
        with m.State("BEGIN"):
            m.d.comb += replays.opens.eq(1)
            m.next = "GANG"
        with m.State("GANG"), m.If(issue.ready):
            m.d.comb += take.eq(1)
            m.d.sync += member.eq(member + 1)
            with m.If(last_member):
                m.next = "STREAM"
        with m.State("STREAM"), m.If(walk.ready & ~replays.walk.valid):
            m.d.comb += [
                walk.valid.eq(1), walk.payload.kv_head.eq(kv_head), walk.payload.slot.eq(first_slot),
                walk.payload.members.eq(members_of(c, job.group)),
            ]
            m.next = "HEAD"
