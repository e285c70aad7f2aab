"""Reader of pass 2: looks up the parameters of a complete vector and reads its rows from the slots."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.compare_tree import max_tree
from ..primitives.pipeline import delay
from ..primitives.tree import tree_stages
from ..primitives.widths import narrow
from ..stream.fifo import never_full, never_full_latency
from ..stream.job_layouts import scale_layout
from ..stream.layouts import slice_counts, slot_meta
from .rows import ready_vector, row_info, scaling, slot_notice, vector_info


def scaled_row(c: SpAttenConfig) -> data.StructLayout:
    """Side information of a row of scores read from the slots."""
    return data.StructLayout({"scaling": scaling(c), "info": row_info(c)})


class VectorReader(wiring.Component):
    """Reads ready vectors back to back, one row of all slices per cycle, no idle cycle even between one-row vectors.

    Row r has the lanes of the slices with more than r keys. `meta` is always accepted and must precede the first score
    of its slot. Vectors are looked up ahead: `meta`,
    then the scale of the head (`scale_head`, answered in `scale` one cycle later). A row is read only if a row credit
    is left, a vector begun only if a vector credit is left, so no later stage has to stall; `row_popped` and
    `vector_popped` give credits back. `read_row` addresses the slots; `rows` goes with the scores that arrive one cycle
    later. `info` leaves a cycle after a vector's first row is read, `done` (the slot is not needed again) a cycle after
    its last, unless it may be refetched. Both must be taken at once. `active`: vectors are here or in later stages.
    """

    #: Vectors looked up ahead: covers the latency of the look-up and of its returning credit.
    AHEAD = 8
    #: From `ready` to the cycle that reads the first row, when idle: meta, scale, FIFO.
    LOOKUP = 2 + never_full_latency(AHEAD)
    #: From there to the row on `rows`: address, memory.
    ROWS = 2

    meta: stream.Interface
    ready: stream.Interface
    scale_head: Signal
    scale: data.View
    read_row: Signal
    rows: stream.Interface
    info: stream.Interface
    done: stream.Interface
    row_popped: Signal
    vector_popped: Signal
    active: Signal

    def __init__(self, config: SpAttenConfig, row_credits: int, vector_credits: int):
        self.config = c = config
        self.row_credits = row_credits
        self.vector_credits = vector_credits
        super().__init__({
            "meta": In(stream.Signature(slot_meta(c))),
            "ready": In(stream.Signature(ready_vector(c))),
            "scale_head": Out(c.head_bits), "scale": In(scale_layout()),
            "read_row": Out(c.slot_bits + c.row_bits),
            "rows": Out(stream.Signature(scaled_row(c))),
            "info": Out(stream.Signature(vector_info(c))),
            "done": Out(stream.Signature(slot_notice(c))),
            "row_popped": In(1), "vector_popped": In(1), "active": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        prepared_layout = data.StructLayout({
            "scaling": scaling(c), "info": vector_info(c), "keys": slice_counts(c), "last_row": unsigned(c.row_bits),
            **({"scored": slice_counts(c)} if c.chunk_queries else {}),
        })
        m.submodules.prepared = prepared = never_full(prepared_layout, self.AHEAD)

        # Kept with the number of its last row, which takes a tree over the slices: still in time for the first score.
        meta_layout = data.StructLayout({"meta": slot_meta(c), "last_row": unsigned(c.row_bits)})
        longest = max_tree(m, list(self.meta.p["scored" if c.chunk_queries else "keys"]), "longest")
        known = Signal(meta_layout)
        m.d.comb += [
            known.meta.eq(delay(m, self.meta.payload, tree_stages(c.slices), "given")),
            known.last_row.eq(narrow(longest - 1, c.row_bits)),
        ]

        # Look-up: meta by slot, then scale by head. Credits keep room in `prepared`.
        m.submodules.metas = metas = Memory(shape=meta_layout, depth=c.slots, init=[])
        meta_write = metas.write_port()
        meta_read = metas.read_port(domain="sync", transparent_for=())
        ahead = Signal(range(self.AHEAD + 1), init=self.AHEAD)
        look = Signal()
        m.d.comb += [
            self.meta.ready.eq(1),
            meta_write.addr.eq(known.meta.slot), meta_write.data.eq(known),
            meta_write.en.eq(delay(m, self.meta.valid, tree_stages(c.slices), "gives", reset=True)),
            look.eq(self.ready.valid & (ahead != 0)),
            self.ready.ready.eq(ahead != 0),
            meta_read.addr.eq(self.ready.p.slot), meta_read.en.eq(1),
        ]
        m.d.sync += ahead.eq(ahead - look + (prepared.o.valid & prepared.o.ready))
        found_meta = meta_read.data
        m.d.comb += self.scale_head.eq(found_meta.meta.tag.head)
        looked = delay(m, look, 2, "looked", reset=True)
        vector = delay(m, self.ready.payload, 2, "vector")
        later_meta = delay(m, found_meta, 1, "meta")
        meta = later_meta.meta
        entry = prepared.i.p
        m.d.comb += [
            prepared.i.valid.eq(looked),
            entry.scaling.top.eq(vector.top),
            entry.scaling.mant.eq(self.scale.score_mant),
            entry.scaling.pre.eq(self.scale.score_pre),
            entry.scaling.post.eq(self.scale.score_post),
            entry.info.slot.eq(vector.slot),
            entry.info.may_refetch.eq(meta.progressive & ~vector.replay),
            entry.info.tag.eq(meta.tag),
            entry["keys"].eq(meta["keys"]), entry.last_row.eq(later_meta.last_row),
        ]
        if c.chunk_queries:
            m.d.comb += entry.scored.eq(meta.scored)
        # A replayed vector has K's LSBs in its scores and fetches V rows with theirs.
        with m.If(vector.replay):
            m.d.comb += entry.info.tag.refetched.eq(1)

        # Walk: one row per cycle while there are credits.
        front = prepared.o.p
        row = Signal(c.row_bits)
        row_credits = Signal(range(self.row_credits + 1), init=self.row_credits)
        vector_credits = Signal(range(self.vector_credits + 1), init=self.vector_credits)
        row_back = Signal()
        vector_back = Signal()
        first = Signal()
        last = Signal()
        go = Signal()
        m.d.comb += [
            first.eq(row == 0),
            last.eq(row == front.last_row),
            go.eq(prepared.o.valid & (row_credits != 0) & (~first | (vector_credits != 0))),
            prepared.o.ready.eq(go & last),
            self.info.valid.eq(delay(m, go & first, 1, "begun", reset=True)),
            self.info.payload.eq(delay(m, front.info, 1, "begun_info")),
            self.done.valid.eq(delay(m, go & last & ~front.info.may_refetch, 1, "ended", reset=True)),
            self.done.p.slot.eq(delay(m, front.info.slot, 1, "ended_slot")),
        ]
        m.d.sync += [
            # Credits return a cycle late: `row_popped` and `vector_popped` are on long paths.
            row_back.eq(self.row_popped), vector_back.eq(self.vector_popped),
            row_credits.eq(row_credits - go + row_back),
            vector_credits.eq(vector_credits - (go & first) + vector_back),
            self.read_row.eq(Cat(row, front.info.slot)),
        ]
        with m.If(go):
            m.d.sync += row.eq(Mux(last, 0, row + 1))

        walked = Signal(scaled_row(c))
        m.d.comb += [
            walked.scaling.eq(front.scaling),
            walked.info.first.eq(first),
            walked.info.last.eq(last),
            walked.info.live.eq(Cat(keys > row for keys in front["keys"])),
            *([walked.info.there.eq(Cat(keys > row for keys in front.scored))] if c.chunk_queries else []),
            self.rows.valid.eq(delay(m, go, 2, "walked", reset=True)),
            self.rows.payload.eq(delay(m, walked, 2, "walked_row")),
            self.active.eq((ahead != self.AHEAD) | self.ready.valid | (vector_credits != self.vector_credits)),
        ]
        contract(m, ahead <= self.AHEAD, "no more vectors are looked up than there is room for")
        contract(m, (row_credits != self.row_credits) | go, "no more rows come back than were read", when=row_back)
        contract(m, (vector_credits != self.vector_credits) | go, "no more vectors come back than were begun",
                 when=vector_back)
        # Behind the keys that its query sees, a vector has rows with those of later queries of its gang.
        beyond = walked.info.there.any() & ~first if c.chunk_queries else 0
        contract(m, walked.info.live.any() | beyond, "every row has a live lane", when=go)
        contract(m, row <= front.last_row, "rows read are the vector's", when=prepared.o.valid)
        always_taken(m, self.rows, "rows")
        always_taken(m, self.info, "infos")
        always_taken(m, self.done, "slots read")
        return m
