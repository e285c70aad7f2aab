"""Walks a layer: alive head → query head of the group → query, and issues one work item each."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.adder_tree import balanced_sum
from ..primitives.one_hot import lowest_index, without_lowest
from ..primitives.products import times_few
from ..primitives.widths import narrow
from ..softmax.rows import decision_notice
from ..stream.fifo import StreamFifo
from ..stream.job_layouts import job_layout
from ..stream.layouts import key_walk_command, q_command, score_command, slice_counts, slot_meta
from .meta import MetaStage
from .replays import Replays, members_of
from .tickets import TicketRing, gang_bits, one_bit

#: Commands for Q rows that can wait.
Q_COMMANDS = 4


def bits_set(bits):
    """How many of `bits` are set."""
    return balanced_sum(list(bits))


class Walker(wiring.Component):
    """Issues what a work item needs: a slot and an item number, `q_cmd`, `meta`, and `k_walk` (generation, once per
    gang) or `score_cmd` (prompts).

    `start` takes `heads` (bitmap) and `alive` (tokens); `issued_all` is high from the last item on until the next
    start. Generation: the `group` queries of a head are a gang: one item per cycle, then one cycle issues the walk over
    the head's K rows. LSB walks of gangs with flat members go first. Prompts: the items of a head start once
    `half_ready[half]`, one per cycle, query head by query head. Where LSBs exist, the flat queries of a query head
    follow after its last decision, as new items with `refetched`, once the head's LSBs are in the SRAMs: `lsb_wanted`
    asks for them, `lsb_ready` says so. `half_done[half]` pulses when the head's last item is issued.

    `slot_taken` pulses with `slot` as a slot is given to a new query. `free` gives slots back, `items_freed` items from
    `items_first` on. `item`, `item_half`: an item was issued, `query`: the first one of a query; `dropped`,
    `dropped_half`: a flat one is gone; `replayed`: queries whose LSBs are asked for in this cycle. `meta`, `free` and
    `slot_taken` are always taken.
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
            "k_walk": Out(stream.Signature(key_walk_command(c))),
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
        m.submodules.slots = slots = TicketRing(c.slots)
        m.submodules.items = items = TicketRing(c.items)
        m.submodules.replays = replays = Replays(c)
        m.submodules.metas = metas = MetaStage(c)

        left = Signal(c.max_heads)
        kv_head = Signal(c.head_bits)
        first_query_head = Signal(c.head_bits)
        member = Signal(c.max_group.bit_length())
        position = Signal(c.count_bits)
        next_position = Signal(c.count_bits)
        half = Signal()
        first_slot = Signal(c.slot_bits)
        first_item = Signal(c.item_bits)
        again = Signal()                # second pass: flat queries with their LSBs
        have_lsb = Signal()             # the LSBs of this head are in the SRAMs
        progressive = Signal()
        next_head = lowest_index(m, left, "next_head")
        m.d.sync += progressive.eq(job.k_lsb != 0)

        # Commands leave through FIFOs, so issuing may look at `ready` and the ports still keep the contract.
        # This one is one deeper than it is filled: `q_room` is a cycle late, since an issue reaches the whole block.
        m.submodules.q_fifo = q_fifo = StreamFifo(q_command(c), Q_COMMANDS + 1)
        q_room = Signal(init=1)
        m.d.sync += q_room.eq(q_fifo.level < Q_COMMANDS)
        m.submodules.k_fifo = k_fifo = StreamFifo(key_walk_command(c), 4)
        m.submodules.score_fifo = score_fifo = StreamFifo(score_command(c), 4)
        connect(m, q_fifo.o, flipped(self.q_cmd))
        connect(m, k_fifo.o, flipped(self.k_walk))
        connect(m, score_fifo.o, flipped(self.score_cmd))
        connect(m, flipped(self.decided), replays.decided)
        connect(m, metas.o, flipped(self.meta))

        # What an item is; every field is stable while the item waits to be issued.
        lane = narrow(position, clog2(c.slices)) if c.slices > 1 else 0
        query = Mux(job.generate, 0, self.list_ids[lane])
        query_head = narrow(first_query_head + member, c.head_bits)  # < max_heads by the job's validation
        keys = Mux(job.causal, position + 1, self.alive)
        take = Signal()
        item_ready = Signal()
        note = metas.i
        m.d.comb += [
            # The row of the next position is read now, so that its ids are there with the position.
            next_position.eq(position),
            self.list_row.eq(narrow(next_position >> clog2(c.slices), c.row_bits)),
            item_ready.eq(slots.available & items.available & q_room),
            slots.take.eq(take), items.take.eq(take), self.item.eq(take), self.item_half.eq(half),
            self.slot_taken.eq(take), self.slot.eq(slots.number),
            q_fifo.i.valid.eq(take), q_fifo.i.payload.head.eq(query_head), q_fifo.i.payload.token.eq(query),
            q_fifo.i.payload.slot.eq(slots.number),
            note.valid.eq(take), note.payload.slot.eq(slots.number),
            note.payload["keys"].eq(keys), note.payload.progressive.eq(progressive & ~again),
            note.payload.tag.head.eq(query_head), note.payload.tag.kv_head.eq(kv_head),
            note.payload.tag.query.eq(query), note.payload.tag.half.eq(half), note.payload.tag.stream.eq(job.generate),
            note.payload.tag.refetched.eq(again), note.payload.tag.item.eq(items.number),
            note.payload.tag.first.eq(Mux(job.generate, first_item, items.number)),
            note.payload.tag.gang.eq(Mux(job.generate, job.group, 1)),
            metas.counts.eq(self.counts),
            replays.note.eq(take), replays.note_slot.eq(slots.number),
            replays.note_position.eq(narrow(position, c.token_bits)), replays.first.eq(first_item),
            score_fifo.i.payload.slot.eq(slots.number), score_fifo.i.payload["keys"].eq(keys),
            score_fifo.i.payload.half.eq(half), score_fifo.i.payload.refetched.eq(again),
        ]
        m.d.sync += position.eq(next_position)
        m.d.comb += slots.free.eq(one_bit(self.free.valid, self.free.payload.slot, c.slots))
        m.d.comb += self.free.ready.eq(1)
        freed = gang_bits(m, self.items_freed, self.items_first, self.items_gang, c.items, c.max_group, "freed")
        m.d.comb += items.free.eq(freed | one_bit(replays.dropped, replays.dropped_item, c.items))

        # Vectors of this head that wait for their decision.
        undecided = Signal(range(c.slots + 1))
        counted = take & progressive & ~again & ~job.generate
        decides = self.decided.valid & self.decided.ready & ~self.decided.payload.tag.stream
        m.d.sync += undecided.eq(undecided + counted - decides)

        # Walks for LSBs first: they hold slots.
        walk = k_fifo.i
        m.d.comb += [
            walk.valid.eq(replays.walk.valid), walk.payload.eq(replays.walk.payload),
            replays.walk.ready.eq(walk.ready),
            self.query.eq(take & ~again),
            self.replayed.eq(Mux(replays.walk.valid & walk.ready, bits_set(replays.walk.payload.members),
                                 take & again)),
            self.dropped.eq(replays.dropped), self.dropped_half.eq(replays.dropped_half),
            self.lsb_half.eq(half),
        ]
        last_member = Signal()
        last_query = Signal()
        flat = Signal(c.count_bits)          # number of the flat query in the list
        m.d.comb += [
            last_member.eq(member + 1 == job.group), last_query.eq(position + 1 == self.alive),
            replays.read.eq(narrow(flat, c.token_bits)),
        ]

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

        with m.FSM(name="walk") as fsm:
            with m.State("IDLE"):
                m.d.comb += self.issued_all.eq(1)
                with m.If(self.start):
                    m.d.sync += [left.eq(self.heads), half.eq(0)]
                    m.next = "HEAD"
            with m.State("HEAD"):
                m.d.sync += [
                    kv_head.eq(next_head), left.eq(without_lowest(left)), member.eq(0), again.eq(0), have_lsb.eq(0),
                    first_query_head.eq(narrow(times_few(next_head, job.group), c.head_bits)),
                    first_slot.eq(slots.number), first_item.eq(items.number),
                ]
                m.d.comb += next_position.eq(0)
                with m.If(left == 0):
                    m.next = "IDLE"
                with m.Elif(job.generate):
                    m.next = "BEGIN"
                with m.Else():
                    m.next = "ITEMS"
            # -- generation -------------------------------------------------------------------------------
            with m.State("BEGIN"):
                m.d.comb += replays.begin.eq(1)
                m.next = "GANG"
            with m.State("GANG"), m.If(item_ready):
                m.d.comb += take.eq(1)
                m.d.sync += member.eq(member + 1)
                with m.If(last_member):
                    m.next = "STREAM"
            with m.State("STREAM"), m.If(walk.ready & ~replays.walk.valid):
                m.d.comb += [
                    walk.valid.eq(1), walk.payload.kv_head.eq(kv_head), walk.payload.slot.eq(first_slot),
                    walk.payload.members.eq(members_of(c, job.group)), walk.payload.lsb.eq(0),
                ]
                m.next = "HEAD"
            # -- prompts ----------------------------------------------------------------------------------
            with m.State("ITEMS"):
                with m.If(self.half_ready.bit_select(half, 1) & item_ready & score_fifo.i.ready):
                    m.d.comb += [take.eq(1), score_fifo.i.valid.eq(1), next_position.eq(position + 1)]
                    with m.If(last_query & progressive):
                        m.next = "DECIDE"
                    with m.Elif(last_query):
                        next_query_head()
            with m.State("DECIDE"):
                m.d.sync += flat.eq(0)
                with m.If(undecided == 0):
                    with m.If(replays.flats == 0):
                        next_query_head()
                    with m.Elif(have_lsb):
                        m.next = "LOOK"
                    with m.Else():
                        m.d.comb += self.lsb_wanted.eq(1)
                        m.next = "LSBS"
            with m.State("LSBS"), m.If(self.lsb_ready):
                m.d.sync += have_lsb.eq(1)
                m.next = "LOOK"
            with m.State("LOOK"):            # the list is read, then the survivors
                m.d.sync += again.eq(1)
                m.next = "FIND"
            with m.State("FIND"):
                m.d.comb += next_position.eq(replays.position)
                m.next = "AGAIN"
            with m.State("AGAIN"), m.If(item_ready & score_fifo.i.ready):
                m.d.comb += [take.eq(1), score_fifo.i.valid.eq(1)]
                m.d.sync += flat.eq(flat + 1)
                m.next = "LOOK"
                with m.If(flat + 1 == replays.flats):
                    m.d.comb += replays.clear.eq(1)
                    next_query_head()
        always_taken(m, q_fifo.i, "commands for Q rows")
        always_taken(m, note, "items")
        contract(m, query_head < c.max_heads, "query heads are in range", when=take)
        contract(m, (position < self.alive) & (keys != 0) & (keys <= self.alive), "keys of a query are alive",
                 when=take)
        contract(m, member < job.group, "queries are the group's", when=take)
        contract(m, fsm.ongoing("IDLE"), "a job starts when all items of the one before are issued", when=self.start)
        contract(m, (self.heads != 0) & (self.alive != 0), "a job that starts has heads and tokens", when=self.start)
        contract(m, (undecided != 0) | counted, "only vectors that wait are decided", when=decides)
        return m

