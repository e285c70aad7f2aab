"""Walks a layer: alive head → query → query head of the group, and issues one work item each.

Also issues the replays of flat rows, before new items, because they hold a slot each.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.one_hot import lowest_index, without_lowest
from ..primitives.products import times_few
from ..primitives.widths import narrow
from ..stream.fifo import StreamFifo
from ..stream.job_layouts import job_layout
from ..stream.layouts import k_command, q_command, qk_command, slot_meta
from .slots import SlotRing

#: Commands for Q rows that can wait.
Q_COMMANDS = 4


class Walker(wiring.Component):
    """Issues q_command, slot_meta, qk_command (and k_command where K streams) for every work item.

    `start` takes `heads` (bitmap) and `alive` (tokens); `issued_all` is high from the last item on until the
    next start. Summarisation: the items of a head start once `half_ready[half]`; `half_done[half]` pulses when
    its last item is issued. An item may be issued every cycle; a head costs two cycles more. Generation: the
    `group` queries of a head take one cycle each, then one cycle issues the head's K stream; with `job.pair`, heads
    2j and 2j + 1 are issued together in this way if both are alive, with one K stream for both.
    `item`, `item_half`: an item was issued; `replayed`: a replay was.
    `meta` and `free` pass one payload per cycle, without back-pressure.
    A flat row's replay is issued as soon as both command streams take it, before anything else.
    """

    q_cmd: stream.Interface
    k_cmd: stream.Interface
    qk_cmd: stream.Interface
    meta: stream.Interface
    flat: stream.Interface
    free: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        slot = data.StructLayout({"slot": c.slot_bits})
        super().__init__({
            "job": In(job_layout(c)),
            "start": In(1), "heads": In(c.max_heads), "alive": In(c.count_bits),
            "half_ready": In(2), "half_done": Out(2),
            "list_row": Out(max(1, clog2(c.max_rows))),
            "list_ids": In(data.ArrayLayout(c.token_bits, c.lanes)),
            "q_cmd": Out(stream.Signature(q_command(c))),
            "k_cmd": Out(stream.Signature(k_command(c))),
            "qk_cmd": Out(stream.Signature(qk_command(c))),
            "meta": Out(stream.Signature(slot_meta(c))),
            "flat": In(stream.Signature(slot)), "free": In(stream.Signature(slot)),
            "issued_all": Out(1), "item": Out(1), "item_half": Out(1), "replayed": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, job = self.config, self.job
        m.submodules.ring = ring = SlotRing(c)

        left = Signal(c.max_heads)
        kv_head = Signal(c.head_bits)
        first_query_head = Signal(c.head_bits)
        member = Signal(c.max_group.bit_length())
        position = Signal(c.count_bits)
        next_position = Signal(c.count_bits)
        half = Signal()
        gang_slot = Signal(c.slot_bits)
        next_head = lowest_index(m, left, "next_head")
        m.d.comb += [
            ring.free_valid.eq(self.free.valid), ring.free_slot.eq(self.free.payload.slot),
            self.free.ready.eq(1),
            ring.look_slot.eq(self.flat.payload.slot),
            # The row of the next position is read now, so that its ids are there with the position.
            next_position.eq(position),
            self.list_row.eq(narrow(next_position >> clog2(c.lanes), len(self.list_row))),
        ]
        m.d.sync += position.eq(next_position)

        # Commands leave through FIFOs, so issuing may look at `ready` and the ports still keep the contract.
        # This one is one deeper than it is filled: `q_room` is a cycle late, since an issue reaches the whole block.
        m.submodules.q_fifo = q_fifo = StreamFifo(q_command(c), Q_COMMANDS + 1)
        q_room = Signal(init=1)
        m.d.sync += q_room.eq(q_fifo.level < Q_COMMANDS)
        m.submodules.k_fifo = k_fifo = StreamFifo(k_command(c), 4)
        m.submodules.qk_fifo = qk_fifo = StreamFifo(qk_command(c), 2 * c.slots)
        connect(m, q_fifo.o, flipped(self.q_cmd))
        connect(m, k_fifo.o, flipped(self.k_cmd))
        connect(m, qk_fifo.o, flipped(self.qk_cmd))

        # What an item is; every field is stable while the item waits to be issued.
        # Two heads whose K rows lie side by side are a gang of two, each with a K/V head of its own.
        paired = Signal()
        rest = Signal(c.max_heads)
        gang = Signal(c.max_group.bit_length())
        item_head = Signal(c.head_bits)
        m.d.comb += [
            rest.eq(without_lowest(left)),
            gang.eq(Mux(paired, 2, job.group)), item_head.eq(kv_head + (paired & member[0])),
        ]
        lane = position[:clog2(c.lanes)] if c.lanes > 1 else 0
        query = Mux(job.generate, 0, self.list_ids[lane])
        query_head = narrow(first_query_head + member, c.head_bits)  # < max_heads by the job's validation
        keys = Mux(job.causal, position + 1, self.alive)
        last_member = Signal()
        last_query = Signal()
        m.d.comb += [
            last_member.eq(member + 1 == gang),
            last_query.eq(job.generate | (position + 1 == self.alive)),
            q_fifo.i.payload.head.eq(query_head),
            q_fifo.i.payload.token.eq(query),
            q_fifo.i.payload.slot.eq(ring.slot),
            self.meta.payload.slot.eq(ring.slot),
            self.meta.payload.keys.eq(keys),
            self.meta.payload.progressive.eq(job.k_lsb != 0),
            self.meta.payload.tag.head.eq(query_head),
            self.meta.payload.tag.kv_head.eq(item_head),
            self.meta.payload.tag.query.eq(query),
            self.meta.payload.tag.half.eq(half),
            self.meta.payload.tag.stream_v.eq(job.generate),
            ring.entry.kv_head.eq(item_head),
            ring.entry.keys.eq(keys),
            self.item_half.eq(half),
        ]

        # Replays first. A command pair leaves in one cycle, so that K rows and Q×K commands keep the same order.
        q, k, qk = q_fifo.i, k_fifo.i, qk_fifo.i
        replay = Signal()
        pair_ready = Signal()
        m.d.comb += [
            pair_ready.eq(qk.ready & k.ready),
            replay.eq(self.flat.valid & pair_ready),
            self.flat.ready.eq(pair_ready),
            self.replayed.eq(replay),
        ]
        with m.If(self.flat.valid):
            m.d.comb += [
                qk.valid.eq(pair_ready), k.valid.eq(pair_ready),
                qk.payload.slot.eq(self.flat.payload.slot), qk.payload.gang.eq(1),
                qk.payload.keys.eq(ring.look.keys), qk.payload.stream.eq(1), qk.payload.replay.eq(1),
                k.payload.kv_head.eq(ring.look.kv_head), k.payload.rows.eq(ring.look.keys),
                k.payload.lsb.eq(1),
            ]

        take = Signal()
        item_ready = Signal()
        m.d.comb += [
            item_ready.eq(ring.available & q_room),
            q.valid.eq(take), self.meta.valid.eq(take), ring.take.eq(take), self.item.eq(take),
        ]

        with m.FSM(name="walk") as fsm:
            with m.State("IDLE"):
                m.d.comb += self.issued_all.eq(1)
                with m.If(self.start):
                    m.d.sync += [left.eq(self.heads), half.eq(0)]
                    m.next = "HEAD"
            with m.State("HEAD"):
                m.d.sync += [
                    kv_head.eq(next_head),
                    first_query_head.eq(narrow(times_few(next_head, job.group), c.head_bits)),
                    left.eq(rest), member.eq(0), paired.eq(0),
                ]
                if c.max_group > 1:
                    with m.If(job.pair & job.generate & ~next_head[0] & rest.bit_select(next_head | 1, 1)):
                        m.d.sync += [paired.eq(1), left.eq(without_lowest(rest))]
                m.d.comb += next_position.eq(0)
                with m.If(left == 0):
                    m.next = "IDLE"
                with m.Elif(job.generate):
                    m.d.sync += gang_slot.eq(ring.slot)
                    m.next = "GANG"
                with m.Else():
                    m.next = "ITEMS"
            with m.State("ITEMS"):
                with m.If(self.half_ready.bit_select(half, 1) & item_ready & qk.ready & ~self.flat.valid):
                    m.d.comb += [
                        take.eq(1), qk.valid.eq(1),
                        qk.payload.slot.eq(ring.slot), qk.payload.gang.eq(1), qk.payload.keys.eq(keys),
                        qk.payload.half.eq(half),
                    ]
                    with m.If(last_member):
                        m.d.sync += member.eq(0)
                        m.d.comb += next_position.eq(position + 1)
                        with m.If(last_query):
                            m.d.comb += self.half_done.eq(Cat(~half, half))
                            m.d.sync += half.eq(~half)
                            m.next = "HEAD"
                    with m.Else():
                        m.d.sync += member.eq(member + 1)
            with m.State("GANG"), m.If(item_ready):
                m.d.comb += take.eq(1)
                m.d.sync += member.eq(member + 1)
                with m.If(last_member):
                    m.next = "STREAM"
            with m.State("STREAM"), m.If(pair_ready & ~self.flat.valid):
                m.d.comb += [
                    qk.valid.eq(1), k.valid.eq(1),
                    qk.payload.slot.eq(gang_slot), qk.payload.gang.eq(gang), qk.payload.pair.eq(paired),
                    qk.payload.keys.eq(keys), qk.payload.stream.eq(1),
                    k.payload.kv_head.eq(kv_head), k.payload.rows.eq(keys), k.payload.pair.eq(paired),
                ]
                m.next = "HEAD"
        always_taken(m, q, "commands for Q rows")
        always_taken(m, self.meta, "metas")
        contract(m, query_head < c.max_heads, "query heads are in range", when=take)
        contract(m, (position < self.alive) & (keys != 0) & (keys <= self.alive), "keys of a query are alive",
                 when=take)
        contract(m, member < gang, "queries are the group's", when=take)
        contract(m, fsm.ongoing("IDLE"), "a job starts when all items of the one before are issued", when=self.start)
        contract(m, (self.heads != 0) & (self.alive != 0), "a job that starts has heads and tokens", when=self.start)
        return m
