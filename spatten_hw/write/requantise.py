"""Requantiser: exact Σ P·V of a query to a 16-bit output row in write beats, and Σ |out| per beat.

Source: SpAtten (HPCA 2021), section IV-E (Prob×V output) and algorithm 2 (head importance = Σ |E|).
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import OUT_BITS, SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.pipeline import PART, copies, delay
from ..primitives.products import STRIDE_STAGES, stride_product
from ..primitives.registers import local_copy
from ..primitives.widths import resize, wrap
from ..stream.fifo import StreamFifo, fifo_latency
from ..stream.job_layouts import dim_case, job_layout, scale_layout
from ..stream.layouts import acc_row, head_sum, out_beat
from .rescale import exact_products, magnitude_stages, magnitude_sum, rounded

#: Pipeline registers from the row register to the rounded, saturated elements.
ROUND_STAGES = 7
#: Most beats (and most sums) in the pipeline and its output queue: more than the pipeline holds, so that it can be
#: full, and as many as a LUT memory has words.
QUEUE = 16


def sum_stages(c: SpAttenConfig) -> int:
    """Registers of the Σ |out| tree."""
    return magnitude_stages(beat_elements(c))


def beat_elements(c: SpAttenConfig) -> int:
    """Elements a write beat can hold of one row (a data word may be wider than the longest row)."""
    return min(c.axi_data_bits // OUT_BITS, c.max_dim)


def latency(c: SpAttenConfig) -> int:
    """Cycles from taking a row to the cycle its first beat is offered."""
    return 1 + ROUND_STAGES + fifo_latency(QUEUE)


@dataclass
class _Row:
    """Stage 0. `go`: the beat in the lowest elements of `elements` enters stage 1; `beat`: its number in the row;
    `last`: it is the row's last; `lanes`: how many of its elements belong to the row."""

    tag: data.View
    elements: data.View
    lanes: Signal
    beat: Signal
    last: Signal
    go: Signal


class Requantiser(wiring.Component):
    """out = saturate16(round_shift(acc · out_mant, out_shift)), half to even, of D elements per row.

    `i`: acc_row, exact sums. `o`: beats of `axi_data_bits`/16 elements (element 0 lowest), kind 0, `last` on
    the row's last; a row narrower than the data word is one beat with only its bytes strobed. Beat b goes to
    out_base + head·out_head_stride + query·out_token_stride + b·beat_bytes, modulo 2^addr_bits (the job
    reader has checked that nothing wraps). `head_sums`: Σ |out| of every beat, in the same order. Each beat and
    each sum goes out exactly once; sums follow their beats `sum_stages` cycles later; up to `QUEUE` of either wait to
    be taken. `scale_head`: index into the scale table, `scale`: its entry, one cycle later. `items`: pulse in the cycle
    before a row's last sum is on `head_sums` or queued there; its beats are on `o` or queued by then. `job` holds still
    from two cycles before the first row.

    Latency `latency(config)` cycles; one beat per cycle, no idle cycle between rows. The pipeline has no clock enable:
    a beat enters only when the output queues will have room for its results. `i.ready` is a register.

    | stage | registers | method |
    |---|---|---|
    | 0 | the row, moved down by a beat at a time | `_row` |
    | 1 | the beat; the scale table answers; parts of head and token offset | `exact_products`, `_address` |
    | 2 | elements, and their scale near each; offsets | |
    | 3 | halves of the products; sum of the offsets | |
    | 4 | products; offset in the row | |
    | 5 | shifted by a multiple of 16, guard and sticky bit; address | `rounded` |
    | 6 | shifted by the rest | |
    | 7 | rounded, saturated: the beat goes to its queue | `_leave` |
    | 8 … | absolute values, then their tree: the sum goes to its queue | `magnitude_sum` |
    """

    #: The layer; holds still from two cycles before its first row.
    job: data.View
    #: Exact sums, `acc_row`.
    i: stream.Interface
    #: Head whose scale is wanted.
    scale_head: Signal
    #: Its scale, one cycle later.
    scale: data.View
    #: Write beats, `out_beat`, kind 0.
    o: stream.Interface
    #: Σ |out| of each beat, `head_sum`, in the same order.
    head_sums: stream.Interface
    #: Pulse: a row's last sum enters the queue of `head_sums`.
    items: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "job": In(job_layout(config)),
            "i": In(stream.Signature(acc_row(config))),
            "scale_head": Out(config.head_bits),
            "scale": In(scale_layout()),
            "o": Out(stream.Signature(out_beat(config))),
            "head_sums": Out(stream.Signature(head_sum(config))),
            "items": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        job = local_copy(m, self.job, "job_here")
        beat_room, sum_room = (Signal(name=f"{name}_room_next") for name in ("beats", "sums"))
        row = self._row(m, job, beat_room & sum_room)
        products = exact_products(m, row.elements, beat_elements(self.config), self.scale.out_mant)
        out_row = rounded(m, products, self.scale.out_shift, row.lanes)
        total = magnitude_sum(m, out_row)
        address = self._address(m, job, row)
        self._leave(m, row, out_row, total, address, beat_room, sum_room)
        return m

    def _row(self, m: Module, job: data.View, room_next: Value) -> _Row:
        """The row register. A beat leaves it when both output queues will have room for its results (`room_next`: in
        the next cycle). Decided a cycle ahead, so that enables and selectors are registers, one for every part."""
        c = self.config
        lanes = beat_elements(c)
        beats = max(1, c.max_dim // lanes)
        tag = Signal(self.i.p.tag.shape(), reset_less=True)
        row = Signal(data.ArrayLayout(signed(c.acc_bits), c.max_dim), reset_less=True)
        full = Signal()
        beat = Signal(range(beats + 1))
        last_beat = Signal(range(beats + 1))
        row_lanes = Signal(range(lanes + 1))
        at_last = Signal()
        with m.Switch(job.dim_log2):
            for e, dim in enumerate(c.dims):
                with dim_case(m, c, e):
                    m.d.comb += [last_beat.eq(max(1, dim // lanes) - 1), row_lanes.eq(min(dim, lanes))]
        full_next, go_next, take_next, at_last_next = (
            Signal(name=f"{name}_next") for name in ("full", "go", "take", "at_last"))
        beat_next = Signal.like(beat)
        parts = -(-c.max_dim // PART)
        go, *goes = copies(m, go_next, 1 + parts, "go")
        # The row is empty or its last beat leaves, so it loads `i`, valid or not.
        take, *takes = copies(m, take_next, 1 + parts, "take", init=1)
        m.d.comb += [
            beat_next.eq(Mux(take, 0, beat + go)),
            at_last.eq(beat == last_beat),
            at_last_next.eq(beat_next == last_beat),
            full_next.eq(Mux(take, self.i.valid, full)),
            go_next.eq(full_next & room_next),
            take_next.eq(~full_next | (go_next & at_last_next)),
            self.i.ready.eq(take),
            self.scale_head.eq(tag.head),
        ]
        m.d.sync += [full.eq(full_next), beat.eq(beat_next)]
        with m.If(take):
            m.d.sync += tag.eq(self.i.p.tag)
        for n in range(c.max_dim):
            with m.If(takes[n // PART]):
                m.d.sync += row[n].eq(self.i.p.acc[n])
            # Nothing reads the elements behind a row's last one.
            if n + lanes < c.max_dim:
                with m.Elif(goes[n // PART]):
                    m.d.sync += row[n].eq(row[n + lanes])
        contract(m, Cat(part == take for part in takes).all(), "every part sees the same enable")
        return _Row(tag, row, row_lanes, beat, at_last, go)

    def _address(self, m: Module, job: data.View, row: _Row) -> Value:
        """Where the beat goes, in stage 5: one addition per stage."""
        c = self.config
        offset_head = stride_product(m, row.tag.head, job.out_head_stride, c.addr_bits, "offset_head")
        offset_query = stride_product(m, row.tag.query, job.out_token_stride, c.addr_bits, "offset_query")
        offset = Signal(c.addr_bits, reset_less=True)
        offset_beat = Signal(c.addr_bits, reset_less=True)
        address = Signal(c.addr_bits, reset_less=True)
        beat = delay(m, row.beat, STRIDE_STAGES + 1, "beat")
        m.d.sync += [
            offset.eq(wrap(offset_head + offset_query, c.addr_bits)),
            offset_beat.eq(wrap(offset + Cat(Const(0, clog2(c.beat_bytes)), beat), c.addr_bits)),
            address.eq(wrap(job.out_base + offset_beat, c.addr_bits)),
        ]
        return address

    def _leave(self, m: Module, row: _Row, out_row: data.View, total_sum: Value, address: Value, beat_room: Signal,
               sum_room: Signal) -> None:
        """Queues beats after rounding, and sums at the end of the pipeline; each queue has room."""
        c = self.config
        stages = ROUND_STAGES + sum_stages(c)
        # Delayed beside the elements: valid and last through all stages, the rest as far as it is needed.
        valid = Signal(stages + 1)
        last = Signal(stages + 1)
        m.d.comb += [valid[0].eq(row.go), last[0].eq(row.last)]
        m.d.sync += [valid[1:].eq(valid[:-1]), last[1:].eq(last[:-1])]
        m.submodules.beat_queue = beat_queue = StreamFifo(self.o.p.shape(), QUEUE)
        m.submodules.sum_queue = sum_queue = StreamFifo(self.head_sums.p.shape(), QUEUE)
        for name, queue, port, room in (("beats", beat_queue, self.o, beat_room),
                                        ("sums", sum_queue, self.head_sums, sum_room)):
            wiring.connect(m, queue.o, wiring.flipped(port))
            inside = Signal(range(QUEUE + 1), name=f"{name}_inside")    # on the way to the queue or in it
            m.d.sync += inside.eq(inside + row.go - (port.valid & port.ready))
            # A transfer on `port` in this cycle frees its place in the next.
            m.d.comb += room.eq(inside + row.go < QUEUE)
            contract(m, inside <= QUEUE, f"no more {name} are on their way than the queue has room for")
        out, total = beat_queue.i, sum_queue.i
        m.d.comb += [
            out.valid.eq(valid[ROUND_STAGES]), total.valid.eq(valid[stages]),
            self.items.eq(valid[stages] & last[stages]),
            out.p.data.eq(out_row.as_value()),
            out.p.addr.eq(delay(m, address, ROUND_STAGES - 5, "address")),
            out.p.kind.eq(0),
            out.p.last.eq(last[ROUND_STAGES]),
            total.p.kv_head.eq(delay(m, row.tag.kv_head, stages, "kv_head")),
            total.p.sum.eq(resize(total_sum, total.p.sum.shape())),
        ]
        for n in range(beat_elements(c)):
            m.d.comb += out.p.strobe[2 * n:2 * n + 2].eq((n < row.lanes).replicate(2))
        contract(m, out.p.addr[:clog2(c.beat_bytes)] == 0, "beats are aligned", when=out.valid)
        always_taken(m, out, "beats")
        always_taken(m, total, "sums")
