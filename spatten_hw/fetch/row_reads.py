"""Addresses of rows of any plane, and of words: one request per cycle, each into the queue of its channel."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..interface.descriptor import STRIDE_BITS
from ..primitives.one_hot import one_hot_mux
from ..primitives.pipeline import delay
from ..primitives.products import STRIDE_STAGES, stride_product, times_few
from ..primitives.widths import resize, wrap
from ..stream.fifo import StreamFifo, fifo_latency
from ..stream.job_layouts import head_stride_bits
from ..stream.read_layouts import ReadKind, read_request, shared_note
from .plane import plane_address

#: Planes of rows: every kind of shared read but words.
PLANES = (ReadKind.QUERY, ReadKind.KEY, ReadKind.VALUE, ReadKind.KEY_LSB, ReadKind.VALUE_LSB)
#: Requests that may wait for one channel while the others go on.
QUEUE_DEPTH = 8
#: Cycles from a row to its request's place in a queue: plane and place, products, their sums.
STAGES = 2 + STRIDE_STAGES
#: Cycles a row may come after `room` was seen.
LEAD = 1
#: Rows under way when a queue is seen to be full.
QUEUE_MARGIN = STAGES + LEAD + 2


def shared_row(c: SpAttenConfig) -> data.StructLayout:
    """A read to be made. Rows: `head` and `token` in the plane of the note's kind. Words: `beats` beats from the
    channel-local `addr`, `token` is the channel, `head` 0."""
    return data.StructLayout({
        "head": unsigned(c.head_bits), "token": unsigned(c.token_bits), "addr": unsigned(c.axi_addr_bits),
        "beats": unsigned(c.beats_bits), "note": shared_note(c),
    })


class RowReads(wiring.Component):
    """`rows` (`shared_row`, always taken) → `reads` (one `read_request` of a `shared_note` stream per channel).

    Row (head, token) is in channel (token + head) mod C at base + head·head_stride + (token div C)·token_stride. A row
    may come if `room` was high in the cycle before; it falls when a queue holds `QUEUE_DEPTH` requests. Latency
    `latency` cycles, one row per cycle. `planes` is constant while not `idle`.
    """

    #: Rows and words to be read.
    rows: stream.Interface
    #: Per channel, its requests, in the order of `rows`.
    reads: list[stream.Interface]
    #: Addresses, by kind.
    planes: data.View
    #: A row may come in the next cycle.
    room: Signal
    #: Nothing inside (a cycle late).
    idle: Signal

    #: Cycles from a row to its request.
    latency = STAGES + fifo_latency(QUEUE_DEPTH + QUEUE_MARGIN)

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "rows": In(stream.Signature(shared_row(c))),
            "reads": Out(stream.Signature(read_request(c, shared_note(c)))).array(c.channels),
            "planes": In(data.ArrayLayout(plane_address(c), len(PLANES))), "room": Out(1), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        beat, spread = clog2(c.beat_bytes), clog2(c.channels)
        addr_bits = c.axi_addr_bits - beat               # addresses count beats
        row = self.rows.payload
        kind = Value.cast(row.note.kind)

        # Which plane, where in it, in which channel.
        of_kind = [kind == plane.value for plane in (*PLANES, ReadKind.WORDS)]

        def chosen(field: str, words: Value, low: int = 0) -> Value:
            fields = [*(self.planes[n][field] for n in range(len(PLANES))), words]
            return one_hot_mux(of_kind, [Value.cast(value)[low:] for value in fields])
        none = Const(0, 1)
        base = delay(m, wrap(chosen("base", row.addr, beat), addr_bits), 1, "base")
        head_stride = delay(m, wrap(chosen("head_stride", none, beat), head_stride_bits(c) - beat), 1, "head_stride")
        token_stride = delay(m, wrap(chosen("token_stride", none, beat), STRIDE_BITS - beat), 1, "token_stride")
        beats = delay(m, chosen("beats", row.beats), STAGES, "beats")
        head = delay(m, row.head, 1, "head")
        place = delay(m, row.token[spread:], 1, "place")
        channel = delay(m, wrap(row.token + row.head, spread), STAGES, "channel")
        note = delay(m, row.note, STAGES, "note")

        # Products, then sums: head and token part side by side.
        head_offset = stride_product(m, head, head_stride, addr_bits, "head_offset")
        token_offset = delay(m, times_few(token_stride, place), 1, "token_offset")
        token_base = delay(m, wrap(delay(m, base, 1, "product_base") + token_offset, addr_bits), STRIDE_STAGES - 1,
                           "token_base")
        addr = delay(m, wrap(token_base + head_offset, addr_bits), 1, "addr")

        moving = [self.rows.valid]
        for n in range(STAGES):
            moving.append(delay(m, moving[-1], 1, f"moving_{n}", reset=True))
        levels = []
        for n in range(c.channels):
            shape = data.StructLayout({"addr": unsigned(addr_bits), "beats": unsigned(c.beats_bits),
                                       "note": shared_note(c)})
            queue = StreamFifo(shape, QUEUE_DEPTH + QUEUE_MARGIN, never_full=True)
            m.submodules[f"queue_{n}"] = queue
            entry, out = queue.o.payload, self.reads[n]
            m.d.comb += [
                queue.i.valid.eq(moving[-1] & (channel == n)), queue.i.payload.addr.eq(addr),
                queue.i.payload.beats.eq(beats), queue.i.payload.note.eq(note),
                out.valid.eq(queue.o.valid), queue.o.ready.eq(out.ready),
                out.payload.addr.eq(Cat(Const(0, beat), entry.addr)), out.payload.beats.eq(entry.beats),
                out.payload.note.eq(entry.note),
            ]
            always_taken(m, queue.i, f"queue {n}")
            levels.append(queue.level)
        m.d.comb += self.rows.ready.eq(1)
        m.d.sync += [
            self.room.eq(reduce(and_, [level < QUEUE_DEPTH for level in levels])),
            self.idle.eq(~(Cat(moving).any() | Cat(level != 0 for level in levels).any())),
        ]
        contract(m, reduce(lambda a, b: a | b, of_kind), "a row has a kind", when=self.rows.valid)
        contract(m, (kind != ReadKind.WORDS.value) | ((row.head == 0) & (resize(row.token, unsigned(32)) < c.channels)),
                 "words name their channel", when=self.rows.valid)
        contract(m, beats != 0, "a read has a beat", when=moving[-1])
        return m
