"""Deals kept probabilities to the lanes of the Prob×V array, one per lane and cycle."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig, clog2
from ..contract import at_most_one, contract, full_rows
from ..primitives.one_hot import any_of, lowest_set, one_hot_mux, without_lowest
from ..primitives.registers import payload_register
from ..primitives.widths import narrow, wrap
from ..stream.job_layouts import job_layout
from ..stream.layouts import kept_row, tag_layout
from .operand_buffer import row_bits

#: Kept rows the lanes choose from. A row leaves two cycles after its last element was chosen, so fewer than 4
#: could not sustain the one row per cycle that P = R asks for; more bring little: with 4, random positions
#: cost at most 14 % over the fullest lane (P = R = 16, 512 of 1,024 kept), mostly under 2 %.
WINDOW_ROWS = 4


def step_layout(c: SpAttenConfig) -> data.StructLayout:
    """One cycle of the array: lane l multiplies V row `rows[l]` (its own bank's) by `probs[l]`, 0 where it has
    nothing to do. `last` step of the vector."""
    return data.StructLayout({
        "probs": data.ArrayLayout(unsigned(PROB_BITS), c.lanes),
        "rows": data.ArrayLayout(unsigned(max(1, row_bits(c))), c.lanes),
        "last": 1, "tag": tag_layout(c),
    })


#: Cycles from taking a kept row to its first step on `o`.
SCHEDULER_LATENCY = 3


class LaneScheduler(wiring.Component):
    """Turns kept rows into steps; a step gives every lane at most one element of one vector.

    kept: rows of a vector as in `kept_row`, count ≥ 1. A buffered vector's element (tag.stream_v = 0) belongs to
        lane payload mod R (position mod R, the lane whose bank holds it) and reads row payload div R; a
        streamed vector's element e of a row belongs to lane e mod R, so that step g of the vector holds
        elements g·R … g·R + R − 1, as the fetcher delivers them.
    o: steps. Every lane takes its oldest pending element out of a window of `WINDOW_ROWS` kept rows, but only
        of the oldest unfinished vector; the next vector begins with the following step. One step per cycle,
        no idle cycle within or between vectors as long as kept rows are available.

    So a vector takes as many cycles as its fullest lane has elements while no lane gets ahead of another by more
    than the window, and never more than the sum over its rows of each row's fullest lane. Streamed vectors, and
    buffered ones spread evenly, take ceil(k/R). (SpAtten, section IV-G.)

    Timing: a row's lanes are worked out as it enters the window (cycle 1), elements are chosen (2), probability
    and row of the choice are read out (3), both with registers. `o.ready` enables the last two.
    """

    job: data.View
    kept: stream.Interface
    o: stream.Interface
    busy: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)),
            "kept": In(stream.Signature(kept_row(c))),
            "o": Out(stream.Signature(step_layout(c))),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        P, L, N = c.topk_lanes, c.lanes, WINDOW_ROWS
        addr_bits = max(1, row_bits(c))
        slots, lanes = range(N), range(L)
        en = Signal()
        m.d.comb += en.eq(~self.o.valid | self.o.ready)

        # The window: a ring of kept rows; for each lane the elements of a row that it still has to take, and whether
        # there are any.
        occupied = Signal(N)
        ends = Signal(N)
        tags = [Signal(tag_layout(c), name=f"tag{s}", reset_less=True) for s in slots]
        probs = [Signal(data.ArrayLayout(unsigned(PROB_BITS), P), name=f"probs{s}", reset_less=True) for s in slots]
        rows = [Signal(data.ArrayLayout(unsigned(addr_bits), P), name=f"rows{s}", reset_less=True) for s in slots]
        pending = [[Signal(P, name=f"pending{s}_lane{k}") for s in slots] for k in lanes]
        any_pending = [Signal(N, name=f"any_pending_lane{k}") for k in lanes]

        # -- a kept row enters ----------------------------------------------------------------------------
        kept = self.kept.p
        kept_tag = data.View(tag_layout(c), kept.tag)
        tail = Signal(range(N))
        load = Signal(N)
        m.d.comb += [
            self.kept.ready.eq(~occupied.bit_select(tail, 1)),
            load.eq(Mux(self.kept.valid & self.kept.ready, 1 << tail, 0)),
        ]
        with m.If(load.any()):
            m.d.sync += tail.eq(tail + 1)
        lane_bits = clog2(L)
        shift = Signal(range(lane_bits + 1))
        lane_mask = Signal(lane_bits)
        m.d.comb += [
            shift.eq(narrow(lane_bits - self.job.dim_log2, len(shift))),
            lane_mask.eq(narrow(Const(L - 1, max(1, lane_bits)) >> self.job.dim_log2, lane_bits)),
        ]
        new_pending = [Signal(P, name=f"new_lane{k}") for k in lanes]
        for e in range(P):
            lane = Signal(lane_bits, name=f"lane_of{e}")
            live = Signal(name=f"live{e}")
            m.d.comb += [
                lane.eq(wrap(Mux(kept_tag.stream_v, e, kept.payloads[e]), lane_bits) & lane_mask),
                live.eq(kept.count > e),
            ]
            m.d.comb += [new_pending[k][e].eq(live & (lane == k)) for k in lanes]
        # A position's row is below sram_rows: nothing is lost by narrowing.
        new_rows = Cat(*(narrow(kept.payloads[e] >> shift, addr_bits) for e in range(P)))

        # -- the lanes choose -----------------------------------------------------------------------------
        head = Signal(range(N))
        older = [[_older(m, head, i, j, N) for j in slots] for i in slots]
        row_pending = Signal(N)
        pending_upto = Signal(N)
        blocked = Signal(N)
        front = Signal(N)
        done = Signal(N)
        for j in slots:
            m.d.comb += [
                row_pending[j].eq(Cat(any_pending[k][j] for k in lanes).any()),
                # something is left in this row or an older one
                pending_upto[j].eq(row_pending[j] | any_of(older[i][j] & row_pending[i] for i in slots)),
                # an older row ends a vector that is not finished: this row belongs to a later one
                blocked[j].eq(any_of(older[i][j] & occupied[i] & ends[i] & pending_upto[i] for i in slots)),
                front[j].eq(row_pending[j] & ~any_of(older[i][j] & row_pending[i] for i in slots)),
                done[j].eq(occupied[j] & ~pending_upto[j]),
            ]
        chosen_slot = [Signal(N, name=f"chosen_slot_lane{k}") for k in lanes]
        chosen_element = [Signal(P, name=f"chosen_element_lane{k}") for k in lanes]
        chosen_front = Signal(N)
        chosen = Signal()
        with m.If(en):
            m.d.sync += [chosen.eq(row_pending.any()), chosen_front.eq(front)]
        for k in lanes:
            choice = Signal(N, name=f"choice_lane{k}")
            first = [Signal(P, name=f"first{s}_lane{k}") for s in slots]
            for s in slots:
                m.d.comb += [
                    choice[s].eq(any_pending[k][s] & ~blocked[s]
                                 & ~any_of(older[i][s] & any_pending[k][i] for i in slots)),
                    first[s].eq(lowest_set(pending[k][s])),
                ]
                with m.If(load[s]):
                    m.d.sync += [pending[k][s].eq(new_pending[k]), any_pending[k][s].eq(new_pending[k].any())]
                with m.Elif(en & choice[s]):
                    m.d.sync += [pending[k][s].eq(without_lowest(pending[k][s])),
                                 any_pending[k][s].eq(without_lowest(pending[k][s]).any())]
            with m.If(en):
                m.d.sync += [chosen_slot[k].eq(choice),
                             chosen_element[k].eq(one_hot_mux(choice, first))]

        # Finished rows leave in order, in the cycle in which the step that finished them is read out. So the step that
        # is read out while a vector's last row leaves is the vector's last one.
        for s in slots:
            with m.If(load[s]):
                m.d.sync += [occupied[s].eq(1), ends[s].eq(kept.last), tags[s].eq(kept.tag),
                             probs[s].eq(kept.keys), rows[s].eq(new_rows)]
            with m.Elif(en & done[s]):
                m.d.sync += occupied[s].eq(0)
        with m.If(en):
            m.d.sync += head.eq(head + sum(done[s] for s in slots))

        # -- the choice is read out -----------------------------------------------------------------------
        out = payload_register(m, self.o.payload, "step")
        with m.If(en):
            m.d.sync += [
                self.o.valid.eq(chosen),
                out.last.eq((done & ends).any()),
                out.tag.eq(one_hot_mux(chosen_front, [t.as_value() for t in tags])),
            ]
        for k in lanes:
            lane_probs = Signal(data.ArrayLayout(unsigned(PROB_BITS), P), name=f"probs_lane{k}")
            lane_rows = Signal(data.ArrayLayout(unsigned(addr_bits), P), name=f"rows_lane{k}")
            m.d.comb += [
                lane_probs.eq(one_hot_mux(chosen_slot[k], [p.as_value() for p in probs])),
                lane_rows.eq(one_hot_mux(chosen_slot[k], [r.as_value() for r in rows])),
            ]
            with m.If(en):
                m.d.sync += [
                    out.probs[k].eq(one_hot_mux(chosen_element[k], [lane_probs[e] for e in range(P)])),
                    out.rows[k].eq(one_hot_mux(chosen_element[k], [lane_rows[e] for e in range(P)])),
                ]
        m.d.comb += self.busy.eq(occupied.any() | chosen | self.o.valid)
        contract(m, full_rows(kept.count, kept.last, P), "kept rows are full but for the last", when=self.kept.valid)
        contract(m, (load & occupied) == 0, "a kept row enters an empty place")
        contract(m, at_most_one(chosen_front) & (chosen_front.any() == chosen), "a step is of one vector")
        contract(m, Cat(at_most_one(choice) for choice in chosen_slot).all()
                 & Cat(at_most_one(choice) for choice in chosen_element).all(), "a lane takes one element at most",
                 when=chosen)
        contract(m, Cat(kept_tag.stream_v | (kept.count <= e) | ((kept.payloads[e] >> shift) < c.sram_rows)
                        for e in range(P)).all(), "positions of buffered rows lie in the SRAM", when=self.kept.valid)
        return m


def _older(m: Module, head: Signal, i: int, j: int, n: int) -> Signal:
    """Ring slot i comes before slot j, counted from `head`."""
    before = Signal(name=f"older_{i}_{j}")
    table = sum(1 << h for h in range(n) if (i - h) % n < (j - h) % n)
    m.d.comb += before.eq(Const(table, n).bit_select(head, 1))
    return before
