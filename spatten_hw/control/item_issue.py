"""Issues a work item: gives it a slot and a number, and tells every block of it."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.hdl import ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.widths import narrow, wrap
from ..stream.fifo import StreamFifo
from ..stream.job_layouts import job_layout
from ..stream.layouts import q_command, score_command, slice_counts, slot_meta
from .meta import MetaStage
from .tickets import TicketRing

#: Commands for Q rows that can wait.
Q_COMMANDS = 4


def walk_place(c: SpAttenConfig) -> data.StructLayout:
    """Where the walk of a layer is: query head `member` of `kv_head`'s (`first_head` is their first), survivor
    `position`. `half`: of the SRAMs; `again`: a second pass; `first_item`: of the gang (generation). In generation with
    `chunk_queries`: `position` is the query's number, it sees tokens below `seen`; `scored` and `gang` are of its
    block."""
    return data.StructLayout({
        "kv_head": unsigned(c.head_bits), "first_head": unsigned(c.head_bits),
        "member": unsigned(c.max_group.bit_length()), "position": unsigned(c.count_bits), "half": 1, "again": 1,
        "first_item": unsigned(c.item_bits),
        **({"seen": unsigned(c.count_bits), "scored": unsigned(c.count_bits),
            "gang": unsigned(c.max_group.bit_length())} if c.chunk_queries else {}),
    })


class ItemIssue(wiring.Component):
    """`take` (only while `ready`) makes the work item at `place`: `q_cmd`, `meta`, and `score_cmd` for prompts.

    `slot` and `item` are the numbers that it gets; `list_ids` are the ids of the row of its position. `progressive`:
    the job has LSBs. `slots_freed`, `items_freed`: a bit for every number given back. One item per cycle; commands
    leave one cycle later, `meta` `MetaStage.LATENCY` cycles later.
    """

    q_cmd: stream.Interface
    score_cmd: stream.Interface
    meta: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)), "alive": In(c.count_bits), "counts": In(slice_counts(c)),
            "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.slices)),
            "place": In(walk_place(c)), "take": In(1), "ready": Out(1),
            "slot": Out(c.slot_bits), "item": Out(c.item_bits),
            "progressive": Out(1), **({"dead": In(slice_counts(c))} if c.chunk_queries else {}),
            "slots_freed": In(c.slots), "items_freed": In(c.items),
            "q_cmd": Out(stream.Signature(q_command(c))), "score_cmd": Out(stream.Signature(score_command(c))),
            "meta": Out(stream.Signature(slot_meta(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, job, place = self.config, self.job, self.place
        m.submodules.slots = slots = TicketRing(c.slots)
        m.submodules.items = items = TicketRing(c.items)
        m.submodules.metas = metas = MetaStage(c)
        # Commands leave through FIFOs, so issuing may look at `ready` and the ports still keep the contract. That of
        # Q rows is one deeper than it is filled: `q_room` is a cycle late, since an issue reaches the whole block.
        m.submodules.q_fifo = q_fifo = StreamFifo(q_command(c), Q_COMMANDS + 1)
        m.submodules.score_fifo = score_fifo = StreamFifo(score_command(c), 4)
        connect(m, q_fifo.o, flipped(self.q_cmd))
        connect(m, score_fifo.o, flipped(self.score_cmd))
        connect(m, metas.o, flipped(self.meta))
        q_room = Signal(init=1)
        m.d.sync += q_room.eq(q_fifo.level < Q_COMMANDS)
        m.d.sync += self.progressive.eq(job.k_lsb != 0)
        m.d.comb += [
            # In generation the FIFO of scores is empty.
            self.ready.eq(slots.available & items.available & q_room & score_fifo.i.ready),
            slots.take.eq(self.take), items.take.eq(self.take),
            slots.free.eq(self.slots_freed), items.free.eq(self.items_freed),
            self.slot.eq(slots.number), self.item.eq(items.number),
        ]

        # What the item is; all of it is stable while it waits to be issued.
        lane = narrow(place.position, clog2(c.slices)) if c.slices > 1 else 0
        number = narrow(place.position, c.token_bits) if c.chunk_queries else 0
        query = Mux(job.generate, number, self.list_ids[lane])
        head = narrow(place.first_head + place.member, c.head_bits)  # < max_heads by the job's validation
        keys = Mux(job.causal, place.position + 1, self.alive)
        gang: ValueLike = job.group
        if c.chunk_queries:
            keys, gang = Mux(job.generate, place.seen, keys), place.gang
        q, score, note = q_fifo.i, score_fifo.i, metas.i
        tag = note.payload.tag
        m.d.comb += [
            q.valid.eq(self.take), q.payload.head.eq(head), q.payload.token.eq(query), q.payload.slot.eq(self.slot),
            score.valid.eq(self.take & ~job.generate), score.payload.slot.eq(self.slot), score.payload["keys"].eq(keys),
            score.payload.half.eq(place.half), score.payload.refetched.eq(place.again),
            score.payload.turn.eq(wrap(place.kv_head, clog2(c.slices))),
            metas.counts.eq(self.counts), note.valid.eq(self.take), note.payload.slot.eq(self.slot),
            note.payload["keys"].eq(keys), note.payload.progressive.eq(self.progressive & ~place.again),
            tag.head.eq(head), tag.kv_head.eq(place.kv_head), tag.query.eq(query), tag.half.eq(place.half),
            tag.stream.eq(job.generate), tag.refetched.eq(place.again), tag.item.eq(self.item),
            tag.first.eq(Mux(job.generate, place.first_item, self.item)),
            tag.gang.eq(Mux(job.generate, gang, 1)),
        ]
        most = self.alive
        if c.chunk_queries:
            m.d.comb += [metas.dead.eq(self.dead), note.p.scored.eq(Mux(job.generate, place.scored, keys))]
            most = Mux(job.generate, job.tokens, self.alive)
        always_taken(m, q, "commands for Q rows")
        always_taken(m, score, "commands for scores")
        always_taken(m, note, "items")
        contract(m, self.ready, "an item is issued only when there is room", when=self.take)
        contract(m, place.first_head + place.member < c.max_heads, "query heads are in range", when=self.take)
        contract(m, (place.position < self.alive) & (keys != 0) & (keys <= most), "keys of a query are alive",
                 when=self.take)
        contract(m, place.member < job.group, "queries are the group's", when=self.take)
        return m
