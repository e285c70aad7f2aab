"""What a slice gets from its channel: the chunks of its K and V rows, each in a queue."""

from __future__ import annotations

from amaranth import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..bus.row_step import as_key_note, as_value_note, local_note, row_step
from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..stream.fifo import StreamFifo
from ..stream.read_layouts import key_note, operand_chunk, value_note
from .converter import ChunkConverter

#: Cycles from the choice of a row (`k_begun`) to the one in which the place of its first chunk may be counted as free,
#: at best: choice, start, step, table, pool, converter (2), queue.
ROUND_TRIP = 8


def feed_depth(c: SpAttenConfig) -> int:
    """Chunks in a queue: two of the longest rows, or a row more than what is under way at one chunk per cycle."""
    return max(2 * c.max_chunks, c.max_chunks + ROUND_TRIP)


class SliceFeed(wiring.Component):
    """The steps of one slice's K and V rows → operand chunks in two queues, which may stall.

    Flow control: the reader begins a row only while `k_room` (`v_room`), a register, is high, and says so in the same
    cycle with `k_begun` (`v_begun`). The feed then reserves room for its `k_length` (`v_length`) chunks; `k_room` is
    high while the longest row has room beyond what is reserved. A chunk leaves for its queue's output `LATENCY` = 3
    cycles after its step. One chunk per cycle.
    """

    LATENCY = ChunkConverter.LATENCY + 1

    #: steps of K and V rows of all slices of the channel; always taken
    i: stream.Interface
    #: which of the channel's slices this is
    number: Signal
    #: chunks per K row and per V row, which may be of two jobs; constant while rows of the class are in flight
    k_length: Signal
    v_length: Signal
    #: a row of this slice has been begun in this cycle
    k_begun: Signal
    v_begun: Signal
    #: there is room for a whole row
    k_room: Signal
    v_room: Signal
    #: chunks of K and of V rows; rows are whole, in any order
    k_chunks: stream.Interface
    v_chunks: stream.Interface
    #: no chunk is inside and none is to come
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.depth = feed_depth(c)
        super().__init__({
            "i": In(stream.Signature(row_step(c, local_note(c)))), "number": In(max(1, clog2(c.slices_per_channel))),
            "k_length": In(c.chunk_count_bits), "v_length": In(c.chunk_count_bits),
            "k_begun": In(1), "v_begun": In(1), "k_room": Out(1), "v_room": Out(1),
            "k_chunks": Out(stream.Signature(operand_chunk(c, key_note(c)))),
            "v_chunks": Out(stream.Signature(operand_chunk(c, value_note(c)))), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.converter = converter = ChunkConverter(c, local_note(c))
        step = self.i.payload
        # Both notes begin with the slice.
        mine = as_key_note(c, step.note).slice == self.number if c.slices_per_channel > 1 else 1
        m.d.comb += [Value.cast(converter.i.payload).eq(Value.cast(step)), converter.i.valid.eq(self.i.valid & mine),
                     self.i.ready.eq(1), converter.o.ready.eq(1)]
        chunk = converter.o.payload
        k = self._queue(m, "k", converter.o.valid & ~chunk.note.value, chunk, as_key_note(c, chunk.note))
        v = self._queue(m, "v", converter.o.valid & chunk.note.value, chunk, as_value_note(c, chunk.note))
        m.d.comb += self.idle.eq((k == 0) & (v == 0))
        return m

    def _queue(self, m: Module, name: str, valid: Value, chunk: data.View, note: data.View) -> Signal:
        """The queue of one class, and the chunks reserved in it."""
        c = self.config
        out, begun = getattr(self, f"{name}_chunks"), getattr(self, f"{name}_begun")
        # One slice fits an FPGA whose look-up tables are many and whose block memories are few.
        wide = len(out.payload.data) if c.slices > 1 else 0
        m.submodules[f"{name}_queue"] = queue = StreamFifo(out.payload.shape(), self.depth, wide=wide)
        into = queue.i.payload
        connect(m, queue.o, wiring.flipped(out))
        m.d.comb += [queue.i.valid.eq(valid), into.data.eq(chunk.data), into.chunk.eq(chunk.chunk),
                     into.last.eq(chunk.last), into.error.eq(chunk.error), Value.cast(into.note).eq(Value.cast(note))]
        contract(m, queue.i.ready, f"{name}: there is room for every chunk of a row that was begun",
                 when=queue.i.valid)
        length = getattr(self, f"{name}_length")
        reserved = Signal(range(self.depth + 1), name=f"{name}_reserved")
        room = Signal(init=1, name=f"{name}_has_room")
        left = reserved - (out.valid & out.ready)
        more = left + length
        limit = self.depth - c.max_chunks
        # `begun` comes late: both outcomes are ready when it does.
        with m.If(begun):
            m.d.sync += [reserved.eq(more), room.eq(more <= limit)]
        with m.Else():
            m.d.sync += [reserved.eq(left), room.eq(left <= limit)]
        m.d.comb += getattr(self, f"{name}_room").eq(room)
        contract(m, room, f"{name}: a row is begun only where there is room", when=begun)
        contract(m, length != 0, f"{name}: rows have chunks", when=begun)
        contract(m, reserved >= queue.level, f"{name}: every chunk that is there has been reserved")
        return reserved
