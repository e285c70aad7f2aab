"""Requantiser: exact Σ P·V of a query to a 16-bit output row in write beats, and Σ |out|.

Source: SpAtten (HPCA 2021), section IV-E (Prob×V output) and algorithm 2 (head importance = Σ |E|).
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import OUT_BITS, SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.pipeline import delay
from ..primitives.registers import local_copy
from ..primitives.widths import resize
from ..stream.fifo import StreamFifo, fifo_latency
from ..stream.job_layouts import job_layout, scale_layout
from ..stream.layouts import acc_chunk, head_sum, kept_ratio, out_beat
from .beat_packer import BeatPacker
from .given_back import GivenBackScale
from .rescale import exact_products, magnitude_stages, magnitude_sum, rounded
from .row_address import ADDRESS_STAGES, row_address

#: Pipeline registers from the chunk register to the rounded, saturated elements.
ROUND_STAGES = 7
#: Most groups (and most sums) in the pipeline and its output queue: more than the pipeline holds, so that it can be
#: full, and as many as a LUT memory has words.
QUEUE = 16


def group_elements(c: SpAttenConfig) -> int:
    """Elements rescaled per cycle: half a chunk, as the first queries of a causal prompt have a row per slice, and
    bring a chunk every other cycle; and no more than a beat holds."""
    return max(1, min(c.chunk // 2, c.axi_data_bits // OUT_BITS))


def sum_stages(c: SpAttenConfig) -> int:
    """Registers of the Σ |out| tree."""
    return magnitude_stages(group_elements(c))


def latency(c: SpAttenConfig) -> int:
    """Cycles from taking a row's only chunk to the cycle its first beat is offered, if the chunk fills no more."""
    groups = min(c.chunk, c.axi_data_bits // OUT_BITS) // group_elements(c)
    return groups + ROUND_STAGES + BeatPacker.LATENCY + fifo_latency(QUEUE)


@dataclass
class _Group:
    """Stage 0. `full`: there is one; `go`: `elements`, a group of the chunk, enter stage 1; `last`: they are the row's
    last."""

    tag: data.View
    elements: data.View
    full: Signal
    last: Signal
    go: Signal


class Requantiser(wiring.Component):
    """out = saturate16(round_shift(acc · out_mant, out_shift)), half to even, of D elements per row.

    `i`: acc_chunk, exact sums, chunks of a row in order. `o`: beats of `axi_data_bits`/16 elements (element 0 lowest),
    kind 0, `last` on the row's last; the last beat of a row has only its bytes strobed. The row of (head, query) goes
    to channel (head + query) mod C, from out_base + head·out_head_stride + (query div C)·out_token_stride on (the job
    reader has checked that nothing wraps). `head_sums`: Σ |out| of every group of `group_elements`, in order. Each beat
    and each sum goes out exactly once; up to `QUEUE` of either wait to be taken. `scale_head`: index into the scale
    table, `scale`: its entry, one cycle later. `items`: pulse in the cycle before a row's last sum is on `head_sums` or
    queued there; its beats are on `o` or queued by then. `job` holds still from two cycles before the first chunk.

    With `job.give_back` (a build with `decision_rules`) each row has a scale of its own, from the `ratio` of its item
    (`GivenBackScale`): it waits for it, and then for the scale, `GivenBackScale.CYCLES` more per row.

    Latency `latency(config)` cycles; one group per cycle, no idle cycle between chunks and rows. The pipeline has no
    clock enable: a group enters only when the output queues will have room for its results.

    | stage | registers | method |
    |---|---|---|
    | 0 | the chunk, of which one group after the other is chosen | `_chunk` |
    | 1 | the group; the scale table answers; parts of head and token offset | `exact_products`, `row_address` |
    | 2 | elements, and their scale near each; offsets | |
    | 3 | halves of the products; sum of the offsets | |
    | 4 | products; address of the row | |
    | 5 | shifted by a multiple of 16, guard and sticky bit | `rounded` |
    | 6 | shifted by the rest | |
    | 7 | rounded, saturated: the group goes to the packer | `_leave` |
    | 8 … | absolute values, then their tree: the sum goes to its queue | `magnitude_sum` |
    """

    #: The layer; holds still from two cycles before its first row.
    job: data.View
    #: Exact sums, `acc_chunk`.
    i: stream.Interface
    #: Head whose scale is wanted.
    scale_head: Signal
    #: Its scale, one cycle later.
    scale: data.View
    #: Write beats, `out_beat`, kind 0.
    o: stream.Interface
    #: Σ |out| of each group, `head_sum`, in the same order.
    head_sums: stream.Interface
    #: Pulse: a row's last sum enters the queue of `head_sums`.
    items: Signal
    #: With `decision_rules`: of each item whose job gives back, `kept_ratio`, in any order.
    ratio: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "job": In(job_layout(config)),
            "i": In(stream.Signature(acc_chunk(config))),
            "scale_head": Out(config.head_bits),
            "scale": In(scale_layout()),
            "o": Out(stream.Signature(out_beat(config))),
            "head_sums": Out(stream.Signature(head_sum(config))),
            "items": Out(1),
            **({"ratio": In(stream.Signature(kept_ratio(config)))} if config.decision_rules else {}),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        job = local_copy(m, self.job, "job_here")
        room = Signal()
        scaled = Signal(init=1)
        group = self._chunk(m, room, scaled)
        mant, shift = self.scale.out_mant, self.scale.out_shift
        if self.config.decision_rules:
            mant, shift = self._given_back(m, job, group, scaled)
        products = exact_products(m, group.elements, group_elements(self.config), mant)
        out = rounded(m, products, shift)
        address = row_address(m, self.config, job, group.tag.head, group.tag.query)
        self._leave(m, group, out, magnitude_sum(m, out), address, room)
        return m

    def _given_back(self, m: Module, job: data.View, group: _Group, scaled: Signal) -> tuple[Value, Value]:
        """Mantissa and shift of the group in stage 1; `scaled`: that of the row in the chunk register is there."""
        m.submodules.given_back = back = GivenBackScale(self.config)
        wiring.connect(m, wiring.flipped(self.ratio), back.ratio)
        gives = Signal()
        m.d.sync += gives.eq(job.give_back)
        m.d.comb += [
            back.row_here.eq(group.full & gives), back.item.eq(group.tag.item), back.scale.eq(self.scale),
            back.row_done.eq(group.go & group.last & gives), scaled.eq(back.ready | ~gives),
        ]
        return Mux(gives, back.mant, self.scale.out_mant), Mux(gives, back.shift, self.scale.out_shift)

    def _chunk(self, m: Module, room: Value, scaled: Value) -> _Group:
        """The chunk register. A group leaves it when both output queues have room for its results, and its row is
        `scaled`."""
        c = self.config
        size = group_elements(c)
        groups = c.chunk // size
        tag = Signal(self.i.p.tag.shape(), reset_less=True)
        elements = Signal(data.ArrayLayout(signed(c.acc_bits), c.chunk), reset_less=True)
        row_end = Signal()
        full = Signal()
        number = Signal(range(max(2, groups)))
        final = Signal(name="final_row")
        go = Signal()
        take = Signal()
        m.d.comb += [
            final.eq(number == groups - 1), go.eq(full & room & scaled), take.eq(~full | (go & final)),
            self.i.ready.eq(take), self.scale_head.eq(tag.head),
        ]
        with m.If(go):
            m.d.sync += number.eq(Mux(final, 0, number + 1))
        with m.If(take):
            m.d.sync += [full.eq(self.i.valid), tag.eq(self.i.p.tag), row_end.eq(self.i.p.last),
                         elements.eq(self.i.p.acc)]
        # A choice rather than a shift: that would take a multiplexer for every element of the chunk.
        chosen = Signal(data.ArrayLayout(signed(c.acc_bits), size))
        last = Signal()
        m.d.comb += [
            chosen.eq(elements.as_value().word_select(number[:clog2(groups)], size * c.acc_bits)),
            last.eq(final & row_end),
        ]
        return _Group(tag, chosen, full, last, go)

    def _leave(self, m: Module, group: _Group, out_row: data.View, total_sum: Value, address: Value,
               room: Signal) -> None:
        """Packs groups into beats after rounding, and queues sums at the end of the pipeline; each queue has room."""
        c = self.config
        stages = ROUND_STAGES + sum_stages(c)
        # Delayed beside the elements: valid and last through all stages, the rest as far as it is needed.
        valid = Signal(stages + 1)
        last = Signal(stages + 1)
        m.d.comb += [valid[0].eq(group.go), last[0].eq(group.last)]
        m.d.sync += [valid[1:].eq(valid[:-1]), last[1:].eq(last[:-1])]
        m.submodules.packer = packer = BeatPacker(c, group_elements(c))
        m.submodules.beat_queue = beat_queue = StreamFifo(self.o.p.shape(), QUEUE, wide=len(self.o.p.data))
        m.submodules.sum_queue = sum_queue = StreamFifo(self.head_sums.p.shape(), QUEUE)
        wiring.connect(m, packer.o, beat_queue.i)
        wiring.connect(m, beat_queue.o, wiring.flipped(self.o))
        wiring.connect(m, sum_queue.o, wiring.flipped(self.head_sums))
        # Groups on the way to the queues, and what the queues hold: each group may become a beat of its own.
        beats, sums = (Signal(range(QUEUE + 1), name=f"{name}_inside") for name in ("beats", "sums"))
        joined = Signal()                       # a group has gone into a beat that is not complete
        m.d.comb += joined.eq(packer.i.valid & ~packer.ends)
        m.d.sync += [
            beats.eq(beats + group.go - joined - (self.o.valid & self.o.ready)),
            sums.eq(sums + group.go - (self.head_sums.valid & self.head_sums.ready)),
            # A cycle late: two places are kept.
            room.eq((beats < QUEUE - 1) & (sums < QUEUE - 1)),
        ]
        tag = group.tag
        channel = (tag.head + tag.query)[:clog2(c.channels)]
        into, total = packer.i, sum_queue.i
        m.d.comb += [
            into.valid.eq(valid[ROUND_STAGES]), into.p.elements.eq(out_row.as_value()),
            into.p.addr.eq(delay(m, address, ROUND_STAGES - ADDRESS_STAGES, "address")),
            into.p.channel.eq(delay(m, channel, ROUND_STAGES, "channel")), into.p.last.eq(last[ROUND_STAGES]),
            total.valid.eq(valid[stages]), self.items.eq(valid[stages] & last[stages]),
            total.p.kv_head.eq(delay(m, tag.kv_head, stages, "kv_head")),
            total.p.sum.eq(resize(total_sum, total.p.sum.shape())),
        ]
        contract(m, (beats <= QUEUE) & (sums <= QUEUE), "no more are on their way than the queues have room for")
        always_taken(m, beat_queue.i, "beats")
        always_taken(m, total, "sums")
