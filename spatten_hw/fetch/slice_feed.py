"""What a slice gets from its channel: the chunks of its K and V rows."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.hdl import ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..bus.row_beat import as_key_note, as_value_note, local_note, row_beat
from ..config import SpAttenConfig, clog2
from ..contract import at_most_one, contract
from ..primitives.widths import wrap
from ..stream.read_layouts import key_note, operand_chunk, plane_mode, value_note
from .row_feed import SPARE_BEATS, RowFeed, feed_depth


def class_planes(c: SpAttenConfig) -> data.StructLayout:
    """The two planes of K (V), MSBs and LSBs: how their rows become operands, and the `beats` of a row of MSBs, which
    is never the shorter one."""
    return data.StructLayout({"modes": data.ArrayLayout(plane_mode(c), 2), "beats": unsigned(c.beats_bits)})


class SliceFeed(wiring.Component):
    """The beats of one slice's K and V rows → operand chunks in two streams, which may stall.

    Each class has a `RowFeed` of its own where a channel can bring more than one chunk per cycle (`c.feeds`): rows of 4
    bits are then not the slower for the other class. Elsewhere one serves both, and a chunk that waits holds up those
    of the other class behind it: K waits for its query only, V for its sums, neither for the other.

    Flow control: the reader begins a row only while `k_room` (`v_room`), a register, is high, and says so in the same
    cycle with `k_begun` (`v_begun`). The feed then reserves room for `beats` beats; `k_room` is high while a row of K
    more has room beyond what is reserved. One beat and one chunk per cycle in each feed.
    """

    LATENCY = RowFeed.LATENCY

    #: beats of K and V rows of all slices of the channel; always taken
    i: stream.Interface
    #: which of the channel's slices this is
    number: Signal
    #: planes of K rows and of V rows, which may be of two jobs; constant while rows of the class are in flight, and
    #: three cycles before
    k_planes: data.View
    v_planes: data.View
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
        super().__init__({
            "i": In(stream.Signature(row_beat(c, local_note(c)))), "number": In(max(1, clog2(c.slices_per_channel))),
            "k_planes": In(class_planes(c)), "v_planes": In(class_planes(c)),
            "k_begun": In(1), "v_begun": In(1), "k_room": Out(1), "v_room": Out(1),
            "k_chunks": Out(stream.Signature(operand_chunk(c, key_note(c)))),
            "v_chunks": Out(stream.Signature(operand_chunk(c, value_note(c)))), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        note = self.i.p.note
        m.d.comb += self.i.ready.eq(1)
        if c.feeds == 2:
            k = self._feed(m, "k", ~note.value, as_key_note(c, note))
            v = self._feed(m, "v", note.value, as_value_note(c, note))
            for feed, name in ((k, "k"), (v, "v")):
                m.d.comb += feed.mode.eq(Mux(feed.ahead.lsb, *reversed(self._modes(name))))
                connect(m, feed.o, wiring.flipped(getattr(self, f"{name}_chunks")))
            reserved = [self._room(m, {name: feed.ended}) for feed, name in ((k, "k"), (v, "v"))]
            m.d.comb += self.idle.eq(k.idle & v.idle & (reserved[0] == 0) & (reserved[1] == 0))
            return m
        both = self._feed(m, "rows", 1, note)
        of_v = both.ahead.value
        lsb = Mux(of_v, as_value_note(c, both.ahead).lsb, as_key_note(c, both.ahead).lsb)
        modes = [*self._modes("k"), *self._modes("v")]
        m.d.comb += both.mode.eq(Mux(of_v, Mux(lsb, modes[3], modes[2]), Mux(lsb, modes[1], modes[0])))
        chunk = both.o.payload
        for name, takes, view in (("k", ~chunk.note.value, as_key_note), ("v", chunk.note.value, as_value_note)):
            out = getattr(self, f"{name}_chunks")
            m.d.comb += [out.valid.eq(both.o.valid & takes), Value.cast(out.p.note).eq(Value.cast(view(c, chunk.note))),
                         *[getattr(out.p, key).eq(getattr(chunk, key)) for key in ("data", "chunk", "last", "error")]]
        m.d.comb += both.o.ready.eq(Mux(chunk.note.value, self.v_chunks.ready, self.k_chunks.ready))
        of_v = both.ended_note.value
        left = self._room(m, {"k": both.ended & ~of_v, "v": both.ended & of_v})
        m.d.comb += self.idle.eq(both.idle & (left == 0))
        return m

    def _modes(self, name: str) -> list[Value]:
        return [Value.cast(mode) for mode in getattr(self, f"{name}_planes").modes]

    def _feed(self, m: Module, name: str, chosen: ValueLike, note: data.View) -> RowFeed:
        """A buffer with its converter, and what goes into it."""
        c = self.config
        m.submodules[name] = feed = RowFeed(c, note.shape())
        slice_ = as_key_note(c, self.i.p.note).slice         # both notes begin with it
        mine = slice_ == self.number if c.slices_per_channel > 1 else 1
        m.d.comb += [
            feed.i.valid.eq(self.i.valid & chosen & mine),
            *[getattr(feed.i.p, key).eq(getattr(self.i.p, key)) for key in ("data", "error", "first", "last", "beats")],
            Value.cast(feed.i.p.note).eq(Value.cast(note)),
        ]
        contract(m, feed.i.ready, f"{name}: there is room for every beat of a row that was begun", when=feed.i.valid)
        return feed

    def _room(self, m: Module, ended: dict[str, Value]) -> Signal:
        """`k_room` and `v_room`, or one of them, of a buffer whose rows give their room back as `ended` says, by class.
        Every row reserves as many beats as one of MSBs has, and gives as many back. Returns the beats reserved."""
        c = self.config
        depth = feed_depth(c) - SPARE_BEATS
        names = "".join(ended)
        reserved = Signal(range(depth + 1), name=f"{names}_reserved")
        beats = {name: getattr(self, f"{name}_planes").beats for name in ended}
        left: Value = reserved
        for name, ends in ended.items():
            late = Signal(name=f"{name}_ended")
            m.d.sync += late.eq(ends)
            left = left - Mux(late, beats[name], 0)
        left = wrap(left, len(reserved))
        # `begun` comes late: all outcomes are ready when it does.
        begun = {name: getattr(self, f"{name}_begun") for name in ended}
        for name in ended:
            limit = Signal(range(depth + 1), name=f"{name}_limit", reset_less=True)
            room = Signal(init=1, name=f"{name}_has_room")
            m.d.sync += [limit.eq(depth - beats[name]), room.eq(left <= limit)]
            for other, begins in begun.items():
                with m.If(begins):
                    m.d.sync += room.eq(left + beats[other] <= limit)
            m.d.comb += getattr(self, f"{name}_room").eq(room)
            contract(m, room, f"{name}: a row is begun only where there is room", when=begun[name])
            contract(m, beats[name] != 0, f"{name}: rows have beats", when=begun[name])
        m.d.sync += reserved.eq(left)
        for name, begins in begun.items():
            with m.If(begins):
                m.d.sync += reserved.eq(wrap(left + beats[name], len(reserved)))
        contract(m, at_most_one(Cat(begun.values())), f"{names}: one row is begun at a time")
        return reserved
