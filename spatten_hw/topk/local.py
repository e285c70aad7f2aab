"""Local value pruning: the largest probabilities of a query with the V rows they belong to (Figure 8, 8)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig, clog2
from ..contract import contract, full_rows
from ..primitives.pipeline import delay
from ..primitives.registers import local_copy
from ..stream.job_layouts import job_layout
from ..stream.layouts import kept_row, prob_row
from ..stream.skid import SkidBuffer


class LocalTopK(wiring.Component):
    """Keeps the `job.keep_values` (0 counts as 1) largest of every `probs` vector, as a `kept` vector.

    The payload is the token id if the tag says `stream_v`, else the position in the survivor list.
    `list_row` reads the survivor list, L ids per row, `list_ids` is valid one cycle later. L lanes per
    cycle in, no gap between vectors, as long as the engine keeps up (`quickselect.py`); rows are widened
    from L to P lanes on the way. `probs.ready` depends on registers of this block only.
    `listed` pulses when the last row of a vector has got its ids. `busy`: a row has come whose vector has not left.
    """

    #: Cycles from a row of `probs` to the wide row at the engine.
    LATENCY = 3 + SkidBuffer.LATENCY

    #: The layer; `keep_values` is used.
    job: data.View
    #: Probabilities, `prob_row`.
    probs: stream.Interface
    #: Row of the survivor list whose ids are wanted.
    list_row: Signal
    #: These ids, one cycle later.
    list_ids: data.View
    #: What is kept of each vector, `kept_row`, P per cycle.
    kept: stream.Interface
    #: Pulse: a vector's last row has got its ids.
    listed: Signal
    #: A row has come whose vector has not left.
    busy: Signal

    def __init__(self, config: SpAttenConfig):
        c = self.config = config
        super().__init__({
            "job": In(job_layout(c)),
            "probs": In(stream.Signature(prob_row(c))),
            "list_row": Out(max(1, clog2(c.max_rows))),
            "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.lanes)),
            "kept": Out(stream.Signature(kept_row(c))),
            "listed": Out(1), "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        lanes, wide_lanes = c.lanes, c.topk_lanes
        parts = wide_lanes // lanes
        tag_bits = len(self.probs.p.tag.as_value())
        m.submodules.engine = engine = c.engine.make(
            PROB_BITS, c.token_bits, tag_bits, wide_lanes, c.max_tokens)

        # One row waits for its ids; the list is read for the row that comes next, or again for the waiting one.
        waiting = Signal()
        row = Signal(self.probs.p.shape(), reset_less=True)
        row_number = Signal.like(self.list_row)
        next_number = Signal.like(self.list_row)
        position = Signal(c.token_bits)
        next_position = Signal(c.token_bits)
        moves = Signal()
        taken = Signal()
        m.d.comb += [
            self.probs.ready.eq(moves),
            taken.eq(self.probs.valid & moves),
            self.list_row.eq(Mux(moves, next_number, row_number)),
        ]
        with m.If(moves):
            # Stored whether valid or not: the wide clock enable then does not depend on `probs.valid`.
            m.d.sync += [waiting.eq(self.probs.valid), row.eq(self.probs.payload)]
        with m.If(taken):
            m.d.sync += [
                row_number.eq(next_number), position.eq(next_position),
                next_number.eq(Mux(self.probs.p.last, 0, next_number + 1)),
                next_position.eq(Mux(self.probs.p.last, 0, next_position + lanes)),
            ]
        # Then a register for the row with its ids: the list is block RAM, and far away.
        payloads = Signal(data.ArrayLayout(unsigned(c.token_bits), lanes), reset_less=True)
        found = Signal(self.probs.p.shape(), reset_less=True)
        found_valid = Signal()
        finds = Signal()
        gathers = Signal()
        m.d.comb += [finds.eq(~found_valid | gathers), moves.eq(~waiting | finds)]
        with m.If(finds):
            m.d.sync += [found_valid.eq(waiting), found.eq(row)]
            for j in range(lanes):
                m.d.sync += payloads[j].eq(Mux(row.tag.stream_v, self.list_ids[j], position + j))

        # Joins `parts` narrow rows into a wide one. The engine's `ready` comes too late in a cycle to reach the
        # softmax: a skid buffer in front of the engine cuts it.
        m.submodules.wide_skid = front = SkidBuffer(engine.i.p.shape())
        wiring.connect(m, front.o, engine.i)
        part = Signal(range(max(2, parts)))
        full = Signal()
        wide = Signal(engine.i.p.shape(), reset_less=True)
        wide_valid = Signal()
        m.d.comb += [
            full.eq(found.last | (part == parts - 1)),
            # While the wide row waits, not even a first part may be written over it.
            gathers.eq(found_valid & (~wide_valid | front.i.ready)),
            front.i.payload.eq(wide), front.i.valid.eq(wide_valid),
            self.listed.eq(waiting & moves & row.last),
        ]
        job = local_copy(m, self.job, "job_here")
        with m.If(front.i.ready):
            m.d.sync += wide_valid.eq(0)
        with m.If(gathers):
            m.d.sync += [
                wide_valid.eq(full), part.eq(Mux(full, 0, part + 1)),
                wide.count.eq(Mux(part == 0, 0, wide.count) + found.count), wide.last.eq(found.last),
                wide.tag.eq(found.tag.as_value()),
            ]
            # The engine looks at k in the first row only.
            m.d.sync += wide.k.eq(Mux(job.keep_values == 0, 1, job.keep_values))
            for p in range(parts):
                with m.If(part == p):
                    for j in range(lanes):
                        m.d.sync += [
                            wide.keys[p * lanes + j].eq(found.probs[j]),
                            wide.payloads[p * lanes + j].eq(payloads[j]),
                        ]
        wiring.connect(m, engine.o, wiring.flipped(self.kept))

        # Vectors inside: in the engine or one of the five rows in front of it.
        present = Signal(range(engine.max_vectors + 6))
        # Counted a cycle late, while the row waits: `taken` is on a long path.
        enters = delay(m, taken & self.probs.p.last, 1, "entered", reset=True)
        leaves = self.kept.valid & self.kept.ready & self.kept.p.last
        m.d.sync += present.eq(present + enters - leaves)
        m.d.comb += self.busy.eq((present != 0) | waiting)
        contract(m, full_rows(self.probs.p.count, self.probs.p.last, lanes),
                 "rows of probabilities are full but for the last", when=self.probs.valid)
        contract(m, present != engine.max_vectors + 5, "no more vectors are inside than are counted",
                 when=enters & ~leaves)
        contract(m, present != 0, "only vectors that came leave", when=leaves & ~enters)
        contract(m, front.i.ready | ~wide_valid, "a wide row that waits is not written over", when=gathers)
        return m
