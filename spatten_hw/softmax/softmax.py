"""Softmax and progressive decision (SpAtten Figure 8, modules 4 and 5)."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import SpAttenConfig
from ..primitives.registers import local_copy
from ..stream.fifo import never_full, never_full_latency
from ..stream.job_layouts import job_layout, scale_layout
from ..stream.layouts import prob_row, score_write, slot_meta
from ..stream.skid import SkidBuffer, SpareBuffer, connect_cut
from .decision import Decision
from .exp2 import Exp2
from .exponent import Exponent
from .far_list import FarList
from .normalise import Normalise
from .reciprocal import Reciprocal
from .rows import decision_notice, exp_row, header, slot_notice, vector_info
from .rules import slot_contracts
from .score_slots import ScoreSlots
from .sum import ExpSum
from .untouched import Untouched, far_gang
from .vector_reader import VectorReader


class Softmax(wiring.Component):
    """Exact scores in, final 12-bit probabilities out; of flat vectors the decision alone.

    Three passes work on different vectors at the same time: pass 1 takes a score of every slice per cycle (stores it,
    maximum), pass 2 reads a row of all slices per cycle (exponentials, sum), pass 3 gives a row per cycle (normalises).
    No idle cycle between vectors of any lengths; they leave in the order in which they are complete.
    `docs/architecture.md`, "Numbers", has every width and rounding.

    *LSBs by key* (`job.lsb_by_key`, generation): the keys that are far for all members of a gang are noted as their
    first exponents pass (`far_row` → `far_keys`). Of the `replays` only the others come; the far ones' scores stay.

    With `chunk_queries` the vectors of a gang have as many rows as that of its last query, the last rows of others
    without a live lane: a query does not see the keys beyond its `keys`, although their scores come.

    A vector has in slice s the rows 0 … keys[s] − 1. `decided`: the first decision on every vector with `progressive`,
    even if it is not flat. A flat vector gives no rows. In generation (`tag.stream`) its scores come again as `replay`,
    after which it is `refetched`; in a prompt its slot is freed, and the query comes as a new vector, whose tag is
    `refetched` and which is not `progressive`. `scale_head` → `scale` one cycle later (a synchronous memory outside).
    `free`: valid for one cycle, must be taken. It comes when the scores have been read if no refetch is possible, else
    a cycle after `decided` was taken (which may wait for any time, but not for a free slot). `busy`: a pass is at work
    or a result waits.

    Latency, idle and unstalled: `latency(rows)` cycles from the last score to the first probability row of a vector of
    `rows` rows. Valid input: at least one key in a vector, as many scores as `meta` says, each row of a slice once.
    """

    #: The layer; `threshold` is used.
    job: data.View
    #: What comes to a slot, `slot_meta`, at the latest a cycle before its first score; always taken.
    meta: stream.Interface
    #: Scores of each slice, `score_write`, slots and rows in any order; always taken.
    i: list[stream.Interface]
    #: Head whose scale is wanted.
    scale_head: Signal
    #: Its scale, one cycle later.
    scale: data.View
    #: Final probabilities, `prob_row`; may stall.
    o: stream.Interface
    #: First decisions, `decision_notice`; may stall.
    decided: stream.Interface
    #: Slots that may be handed out again; taken at once.
    free: stream.Interface
    #: A pass is at work or a result waits.
    busy: Signal
    #: With `decision_rules`: gangs whose LSBs are asked for, by key: `far_gang`; always taken.
    replays: stream.Interface
    #: Slot and row (above it) of a gang …
    far_row: Signal
    #: … and one cycle later, by slice, which of its keys are far: their LSBs are not wanted.
    far_keys: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.slots = ScoreSlots(c)
        self.total = ExpSum(c)
        pipeline = (VectorReader.ROWS + Exponent.LATENCY + Exp2.LATENCY + self.total.latency
                    + Reciprocal.LATENCY + Decision.LATENCY)
        #: Vectors from pass 2's reader to pass 3: one per cycle.
        self.vectors_inside = pipeline + 6
        #: Cycles from reading a vector's last row until its header can be used.
        self.pass_2 = pipeline + never_full_latency(self.vectors_inside) + SkidBuffer.LATENCY
        self.rows_inside = 2 * c.max_rows + self.pass_2 + 4
        super().__init__({
            "job": In(job_layout(c)),
            "meta": In(stream.Signature(slot_meta(c))),
            "i": In(stream.Signature(score_write(c))).array(c.slices),
            "scale_head": Out(c.head_bits), "scale": In(scale_layout()),
            "o": Out(stream.Signature(prob_row(c))),
            "decided": Out(stream.Signature(decision_notice(c))),
            "free": Out(stream.Signature(slot_notice(c))),
            "busy": Out(1),
            **({"replays": In(stream.Signature(far_gang(c))), "far_row": In(c.slot_bits + c.row_bits),
                "far_keys": Out(c.slices)} if c.decision_rules else {}),
        })

    def latency(self, rows: int) -> int:
        """Cycles from a vector's last score to its first probability row when nothing stalls."""
        return self.slots.latency + VectorReader.LOOKUP + (rows - 1) + self.pass_2 + Normalise.LATENCY

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.score_slots = slots = self.slots
        m.submodules.reader = reader = VectorReader(c, self.rows_inside, self.vectors_inside)
        m.submodules.exponent = exponent = Exponent(c)
        m.submodules.exp2 = exp2 = Exp2(c)
        m.submodules.sum = total = self.total
        m.submodules.reciprocal = reciprocal = Reciprocal(c)
        m.submodules.decision = decision = Decision(c)
        m.submodules.normalise = normalise = Normalise(c)
        m.submodules.row_fifo = row_fifo = never_full(exp_row(c), self.rows_inside)
        m.submodules.info_fifo = info_fifo = never_full(vector_info(c), self.vectors_inside)
        m.submodules.header_fifo = header_fifo = never_full(header(c), self.vectors_inside)
        m.submodules.done_fifo = done_fifo = never_full(slot_notice(c), c.slots)

        for s in range(c.slices):
            connect(m, wiring.flipped(self.i[s]), slots.i[s])
        connect(m, wiring.flipped(self.meta), reader.meta)
        connect(m, slots.ready, reader.ready)
        connect(m, reader.info, info_fifo.i)
        connect(m, exponent.o, exp2.i)
        job = local_copy(m, self.job, "job_here")
        connect(m, total.o, reciprocal.i)
        connect(m, reciprocal.o, decision.inverse)
        connect(m, info_fifo.o, decision.info)
        connect(m, decision.header, header_fifo.i)
        connect_cut(m, "header", header_fifo.o, normalise.header)
        # Rows arrive before their header, so this register adds no latency.
        connect_cut(m, "rows", row_fifo.o, normalise.rows)
        # Two distant consumers (token importance and local top-k) take the rows: a spare register cuts their `ready`.
        m.submodules.catch = spare = SpareBuffer(prob_row(c))
        connect(m, normalise.o, spare.i)
        connect(m, spare.o, wiring.flipped(self.o))
        connect(m, decision.decided, wiring.flipped(self.decided))
        connect(m, reader.done, done_fifo.i)
        m.d.comb += [
            slots.given.valid.eq(self.meta.valid), slots.given.p.slot.eq(self.meta.p.slot),
            slots.given.p["keys"].eq(self.meta.p.scored if c.chunk_queries else self.meta.p["keys"]),
            *([slots.given.p.seen.eq(self.meta.p["keys"])] if c.chunk_queries else []),
            decision.threshold.eq(job.threshold),
            self.scale_head.eq(reader.scale_head),
            reader.scale.eq(self.scale),
            slots.read_row.eq(reader.read_row),
            reader.row_popped.eq(normalise.popped),
            reader.vector_popped.eq(normalise.vector_popped),
            exponent.i.valid.eq(reader.rows.valid),
            exponent.i.p.scores.eq(slots.read_scores),
            exponent.i.p.scaling.eq(reader.rows.p.scaling),
            exponent.i.p.info.eq(reader.rows.p.info),
            reader.rows.ready.eq(1),
            # Both take every row: the reader's credits keep room in the FIFO.
            exp2.o.ready.eq(1),
            row_fifo.i.valid.eq(exp2.o.valid), row_fifo.i.payload.eq(exp2.o.payload),
            total.i.valid.eq(exp2.o.valid), total.i.payload.eq(exp2.o.payload),
        ]
        # Slots freed by a decision cannot wait; those freed by reading can wait: there are at most `slots`.
        with m.If(decision.free.valid):
            m.d.comb += [self.free.valid.eq(1), self.free.payload.eq(decision.free.payload)]
        with m.Else():
            m.d.comb += [
                self.free.valid.eq(done_fifo.o.valid), self.free.payload.eq(done_fifo.o.payload),
                done_fifo.o.ready.eq(1),
            ]
        m.d.comb += decision.free.ready.eq(1)
        m.d.sync += self.busy.eq(slots.active | reader.active | self.o.valid | self.decided.valid)
        if c.decision_rules:
            self._by_key(m, job, slots, reader, exponent)
        slot_contracts(m, c, self)
        return m

    def _by_key(self, m: Module, job: data.View, slots: ScoreSlots, reader: VectorReader, exponent: Exponent) -> None:
        """Which keys' LSBs are wanted, and what becomes of the others."""
        m.submodules.far_list = far_list = FarList(self.config)
        m.submodules.untouched = untouched = Untouched(self.config)
        connect(m, wiring.flipped(self.replays), untouched.i)
        for far, into in zip(untouched.o, slots.far, strict=True):
            connect(m, far, into)
        m.d.comb += [
            far_list.enable.eq(job.lsb_by_key), far_list.margin.eq(job.lsb_margin),
            far_list.rows.valid.eq(exponent.o.valid), far_list.rows.payload.eq(exponent.o.payload),
            far_list.info.valid.eq(reader.info.valid), far_list.info.payload.eq(reader.info.payload),
            far_list.read[0].eq(self.far_row), self.far_keys.eq(far_list.found[0].far),
            far_list.read[1].eq(untouched.read), untouched.found.eq(far_list.found[1]),
        ]
        with m.If(untouched.busy):
            m.d.sync += self.busy.eq(1)
