"""Prob×V: sums of the kept V rows, from the V SRAM or from the V stream, weighted by probability."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.registers import local_copy
from ..stream.fifo import StreamFifo, fifo_latency
from ..stream.job_layouts import dim_case, job_layout
from ..stream.layouts import acc_row, kept_depth, kept_row, operand_row
from .lane_scheduler import SCHEDULER_LATENCY, LaneScheduler
from .operand_buffer import row_bits
from .value_array import ValueArray, value_array_latency
from .value_buffer import ValueBuffer


def prob_value_latency(c: SpAttenConfig) -> int:
    """Cycles from taking the kept row of a one-step vector to its sums on `o` (all idle, V there): FIFO,
    scheduler, memory read, array."""
    return fifo_latency(kept_depth(c)) + SCHEDULER_LATENCY + 1 + value_array_latency(c)


class ProbValueUnit(wiring.Component):
    """Σ p·v per vector, exact, in the order of the vectors.

    kept: rows of 12-bit probabilities with positions (tag.stream_v = 0: V from SRAM half tag.half) or of
        streamed vectors (tag.stream_v = 1), k ≥ 1, every row count ≥ 1; queue of `kept_depth`.
    v_rows: from the fetcher. Fill rows go to the V SRAM even if the array stalls; the others are the kept V rows
        of the streamed vectors, in order, R per group, last group of a vector not full. A fill waits for
        streamed rows only if they came before it. `v_rows.ready` follows the array's clock enable.
    o: one row per vector; elements from D on are 0.
    filled, filled_half: see `OperandBuffer`.
    busy: anything in the unit. stall: a streamed vector waits for its V rows (a part of busy).

    Rate: streamed vectors R rows per cycle; buffered ones as in `LaneScheduler` (ceil(k/R) if positions are spread
    evenly); no gap between vectors as long as `o` is taken, but one of a single step takes two cycles. Waiting for V
    never delays sums of earlier vectors. No deadlock: the unit only waits for V rows whose kept rows it has taken.
    (SpAtten, section IV-G.)
    """

    #: The layer.
    job: data.View
    #: Kept probabilities with positions or ids, `kept_row`.
    kept: stream.Interface
    #: V rows from the fetcher, `operand_row`: fills for the SRAM, the others for streamed vectors.
    v_rows: stream.Interface
    #: Exact Σ p·v, `acc_row`, one row per vector.
    o: stream.Interface
    #: Pulse: a half of the V SRAM is full.
    filled: Signal
    #: Which half.
    filled_half: Signal
    #: Anything is in the unit.
    busy: Signal
    #: A streamed vector waits for its V rows.
    stall: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)),
            "kept": In(stream.Signature(kept_row(c))),
            "v_rows": In(stream.Signature(operand_row(c))),
            "o": Out(stream.Signature(acc_row(c))),
            "filled": Out(1),
            "filled_half": Out(1),
            "busy": Out(1),
            "stall": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.queue = queue = StreamFifo(kept_row(c), kept_depth(c))
        m.submodules.scheduler = scheduler = LaneScheduler(c)
        m.submodules.values = values = ValueBuffer(c)
        m.submodules.array = array = ValueArray(c)
        wiring.connect(m, wiring.flipped(self.kept), queue.i)
        wiring.connect(m, queue.o, scheduler.kept)
        wiring.connect(m, wiring.flipped(self.v_rows), values.rows)
        wiring.connect(m, array.o, wiring.flipped(self.o))

        job = local_copy(m, self.job, "job_here")
        # The stage of the memories' output registers.
        read_valid = Signal()
        read_last = Signal()
        read_tag = Signal.like(scheduler.o.p.tag, reset_less=True)
        read_probs = Signal.like(scheduler.o.p.probs, reset_less=True)
        streamed = Signal.like(values.read_data, reset_less=True)
        en = Signal()
        v_there = Signal()
        take = Signal()
        step = scheduler.o.p
        m.d.comb += [
            scheduler.job.eq(job),
            array.job.eq(job),
            self.filled.eq(values.filled),
            self.filled_half.eq(values.filled_half),
            en.eq(array.i.ready),
            v_there.eq(~step.tag.stream_v | values.stream.valid),
            scheduler.o.ready.eq(en & v_there),
            take.eq(scheduler.o.valid & scheduler.o.ready),
            values.stream.ready.eq(scheduler.o.valid & en & step.tag.stream_v),
            values.read_en.eq(take & ~step.tag.stream_v),
            self.stall.eq(scheduler.o.valid & en & ~v_there),
            self.busy.eq(queue.o.valid | (queue.level != 0) | scheduler.busy | read_valid | array.busy),
        ]
        for s in range(c.slices):
            row = Signal.like(step.rows[0], name=f"row{s}")
            with m.Switch(job.dim_log2):
                for e in range(clog2(c.max_dim // c.min_dim) + 1):
                    with dim_case(m, c, e):
                        m.d.comb += row.eq(step.rows[s >> e])
            m.d.comb += values.read_addr[s].eq(Cat(row[:row_bits(c)], step.tag.half))

        with m.If(en):
            m.d.sync += read_valid.eq(take)
        with m.If(take):
            m.d.sync += [read_last.eq(step.last), read_tag.eq(step.tag), read_probs.eq(step.probs)]
            with m.If(step.tag.stream_v):
                m.d.sync += streamed.eq(values.stream.p.slices)
        m.d.comb += [
            array.i.valid.eq(read_valid),
            array.i.p.probs.eq(read_probs),
            array.i.p.values.eq(Mux(read_tag.stream_v, streamed.as_value(), values.read_data.as_value())),
            array.i.p.last.eq(read_last),
            array.i.p.tag.eq(read_tag),
        ]
        contract(m, values.stream.p.last == step.last, "V rows of a vector end with its last step",
                 when=take & step.tag.stream_v)
        return m
