"""Turns row requests into bursts, several of them outstanding, and returns their beats in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth import Array, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..bus.read_crossbar import burst_bits, request_layout, response_banks, response_layout
from ..config import SpAttenConfig, clog2
from ..contract import contract, contracts_on
from ..primitives.widths import wrap
from ..stream.skid import SkidBuffer
from .splitter import BurstSplitter, burst_note, row_request


def row_beat(c: SpAttenConfig, user_bits: int) -> data.StructLayout:
    """One whole beat of a row. `first`, `last` of the row; `offset`: where the row begins in its first beat."""
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "offset": unsigned(clog2(c.beat_bytes)), "first": 1, "last": 1,
        "error": 1, "user": unsigned(user_bits),
    })


def longest_row_beats(c: SpAttenConfig, row_bytes: int) -> int:
    """Beats of the longest row at the worst alignment."""
    return -(-(row_bytes - 1) // c.beat_bytes) + 1


#: While others have priority (`modest`), a port uses only one in `MODEST_SHARE` of its bursts.
MODEST_SHARE = 16


@dataclass(frozen=True)
class _RingUse:
    """Inputs of a ring: whether a burst is requested now, its number and the place of its first beat; the bursts with
    beats in their ring; the oldest burst; the next place to emit, and whether to emit it."""

    note_new: Value
    burst: Signal
    start: Signal
    begun: Signal
    oldest: Signal
    drain: Signal
    emit: Value


@dataclass(frozen=True)
class _Ring:
    """Outputs of a ring: the beat emitted last; the place behind the oldest burst's newest beat (if it is this bank's
    and has begun); the burst (one-hot) of which a beat arrives."""

    beat: data.View
    arrived: Value
    begins: Value


class ReadPort(wiring.Component):
    """Reads rows through one crossbar requester; rows and beats come out in the order of the requests.

    Ports: `i` (`row_request`), `o` (`row_beat`), `req`, `rsp` (crossbar; an array of response banks),
    `beats`/`beats_user`: beats requested in this cycle (0 if none) and their `user`, `idle` (a cycle late), `waits`:
    the next beat was requested and has not come (a cycle late), `waits_user`: its `user` (not late). Up to
    `ids_per_port` bursts are outstanding, a `MODEST_SHARE`-th of them while `modest`; room in the reorder buffer is
    reserved before a burst is requested, so a response never waits. Sustains one burst request and one beat per cycle;
    2 cycles from `i` to `req`, 3 from `rsp` to `o`, whose `ready` is cut. `row_bytes`: the longest row; with
    `bytes_bits`, rows may be longer. The buffer has a ring per response bank. Together they hold twice what all bursts
    need, since rows rarely spread evenly; a ring that holds all bursts (one or two banks) is not checked for room.
    """

    i: stream.Interface
    o: stream.Interface
    req: stream.Interface
    rsp: list[stream.Interface]

    def __init__(self, config: SpAttenConfig, row_bytes: int, user_bits: int, bytes_bits: int | None = None):
        self.config = c = config
        self.user_bits = user_bits
        self.bytes_bits = row_bytes.bit_length() if bytes_bits is None else bytes_bits
        self.banks = banks = response_banks(c)
        burst = c.granule_beats
        if bytes_bits is None:
            burst = min(burst, longest_row_beats(c, row_bytes))
        share = c.ids_per_port * burst * (1 if banks == 1 else 2) // banks
        #: Beats in one bank's ring.
        self.depth = 1 << clog2(max(2, burst, share))
        #: Whether a ring can be full while burst numbers are free.
        self.tight = self.depth < c.ids_per_port * burst
        super().__init__({
            "i": In(stream.Signature(row_request(c, self.bytes_bits, user_bits))),
            "o": Out(stream.Signature(row_beat(c, user_bits))),
            "req": Out(stream.Signature(request_layout(c))),
            "rsp": In(stream.Signature(response_layout(c))).array(banks),
            "modest": In(1),
            "beats": Out(c.granule_beats.bit_length()), "beats_user": Out(user_bits), "idle": Out(1),
            "waits": Out(1), "waits_user": Out(user_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        ids = c.ids_per_port
        modest_ids = max(1, ids // MODEST_SHARE)
        m.submodules.splitter = splitter = BurstSplitter(c, self.bytes_bits, self.user_bits)
        connect(m, wiring.flipped(self.i), splitter.i)
        burst = splitter.o

        # Bursts are numbered cyclically and leave in order, so a number is free once its beats are out.
        head = Signal(burst_bits(c))        # next burst number to use
        tail = Signal(burst_bits(c))        # burst being emitted
        bursts = Signal(range(ids + 1))     # numbers in use
        # Places in a ring, one bit wider than an address: else a complete burst as long as its ring would look empty.
        # Per bank: next free beat, next beat to emit.
        position = unsigned(clog2(self.depth) + 1)
        fills = Array([Signal(position, name=f"fill{b}") for b in range(self.banks)])
        drains = Array([Signal(position, name=f"drain{b}") for b in range(self.banks)])
        begun = Signal(ids)                 # per burst: a beat of it has arrived

        note_new = burst.payload.note
        room = Signal()
        fits = Signal(init=1)               # its beats fit into the ring
        send = Signal()
        offered = Signal()                  # a request was offered and not taken: it stays offered
        m.d.sync += offered.eq(self.req.valid & ~self.req.ready)
        m.d.comb += [
            room.eq(offered | ((bursts < Mux(self.modest, modest_ids, ids)) & fits)),
            self.req.valid.eq(burst.valid & room), burst.ready.eq(self.req.ready & room),
            self.req.payload.addr.eq(burst.payload.addr), self.req.payload.beats.eq(note_new.beats),
            self.req.payload.burst.eq(head),
            send.eq(self.req.valid & self.req.ready),
            self.beats.eq(Mux(send, note_new.beats, 0)), self.beats_user.eq(note_new.user),
        ]
        m.submodules.notes = notes = memory.Memory(shape=burst_note(c, self.user_bits), depth=ids, init=[])
        note_in = notes.write_port()
        note = notes.read_port(domain="comb")
        m.d.comb += [note_in.addr.eq(head), note_in.data.eq(note_new), note_in.en.eq(send), note.addr.eq(tail)]

        advance = Signal()
        begins: Value = Const(0, ids)       # bursts of which a beat arrives now
        rings = [self._ring(m, b, _RingUse(
            note_new=send & (note_new.bank == b), burst=head, start=fills[b], begun=begun, oldest=tail, drain=drains[b],
            emit=advance & (note.data.bank == b))) for b in range(self.banks)]
        arrived = Array([ring.arrived for ring in rings])
        beats = Array([ring.beat for ring in rings])
        for ring in rings:
            begins = begins | ring.begins
        m.d.sync += begun.eq((begun | begins) & ~Mux(send, wrap(Const(1, ids) << head, ids), 0))

        # Emission: the oldest burst's next beat is there once the burst's arrivals are past the place to emit.
        m.submodules.out = ahead = SkidBuffer(row_beat(c, self.user_bits))
        connect(m, ahead.o, wiring.flipped(self.o))
        beat = ahead.i
        left = Signal(c.granule_beats.bit_length())   # beats of the oldest burst already emitted
        beat_ready = Signal()
        burst_end = Signal()                              # last beat of the burst
        step = Signal()
        out = Signal(burst_note(c, self.user_bits), reset_less=True)   # of the beat in the rings' read registers
        m.d.comb += [
            beat_ready.eq((bursts != 0) & begun.bit_select(tail, 1)
                          & (arrived[note.data.bank] != drains[note.data.bank])),
            burst_end.eq(left + 1 == note.data.beats),
            advance.eq(~beat.valid | beat.ready), step.eq(beat_ready & advance),
            beat.payload.first.eq(out.first), beat.payload.last.eq(out.last),
            beat.payload.offset.eq(out.offset), beat.payload.user.eq(out.user),
        ]
        with m.If(advance):
            m.d.sync += [
                beat.valid.eq(beat_ready), out.offset.eq(note.data.offset), out.user.eq(note.data.user),
                out.bank.eq(note.data.bank),
                out.first.eq(note.data.first & (left == 0)), out.last.eq(note.data.last & burst_end),
            ]
        with m.If(step):
            m.d.sync += left.eq(Mux(burst_end, 0, left + 1))
            with m.If(burst_end):
                m.d.sync += tail.eq(tail + 1)

        frees = []                          # per bank, beats free
        chosen = beats[out.bank]
        m.d.comb += [beat.payload.data.eq(chosen.data), beat.payload.error.eq(chosen.error)]
        for b in range(self.banks):
            into = Signal(name=f"into{b}")
            from_ = Signal(name=f"from{b}")
            m.d.comb += [into.eq(send & (note_new.bank == b)), from_.eq(step & (note.data.bank == b))]
            # A clock enable each: whether a beat leaves is known late, and would have to pass an adder.
            with m.If(into):
                m.d.sync += fills[b].eq(fills[b] + note_new.beats)
            with m.If(from_):
                m.d.sync += drains[b].eq(drains[b] + 1)
            if self.tight:
                free = Signal(range(self.depth + 1), init=self.depth, name=f"free{b}")
                m.d.sync += free.eq(free - Mux(into, note_new.beats, 0) + from_)
                frees.append(free)
        if self.tight:
            m.d.comb += fits.eq(note_new.beats <= Array(frees)[note_new.bank])
        with m.If(send):
            m.d.sync += head.eq(head + 1)
        m.d.sync += [
            bursts.eq(bursts + send - (step & burst_end)),
            self.idle.eq(splitter.idle & (bursts == 0) & ~beat.valid & ~self.o.valid & ~self.i.valid),
            self.waits.eq((bursts != 0) & ~beat_ready),
        ]
        m.d.comb += self.waits_user.eq(note.data.user)
        contract(m, bursts <= ids, "no more bursts are open than there are numbers")
        contract(m, (note_new.beats != 0) & (note_new.beats <= c.granule_beats), "a burst has 1 to granule_beats beats",
                 when=send)
        for b in range(self.banks):
            contract(m, (fills[b] - drains[b])[:len(fills[b])] <= self.depth,
                     f"no more beats are asked for than ring {b} has room for")
        if contracts_on():
            owed = Array([Signal(c.granule_beats.bit_length(), name=f"owed_{n}") for n in range(ids)])
            with m.If(send):
                m.d.sync += owed[head].eq(note_new.beats)
            contract(m, owed[head] == 0, "a number is used again only when its beats have come", when=send)
            for b, rsp in enumerate(self.rsp):
                due = owed[rsp.payload.burst]
                with m.If(rsp.valid):
                    m.d.sync += due.eq(due - 1)
                contract(m, (due != 0) & (rsp.payload.last == (due == 1)), f"bank {b} answers what was asked",
                         when=rsp.valid)
        return m

    def _ring(self, m: Module, b: int, use: _RingUse) -> _Ring:
        """The reorder ring of bank `b`, and where in it the next beat of each of its bursts goes.

        That place is the burst's start, stored at its request, and then behind the beat that arrived last. Small
        memories hold the places: registers that every bank writes and reads would be the largest part of the port.
        """
        c = self.config
        shape = data.StructLayout({"data": unsigned(c.axi_data_bits), "error": 1})
        m.submodules[f"ring{b}"] = ring = memory.Memory(shape=shape, depth=self.depth, init=[])
        write, read = ring.write_port(), ring.read_port(transparent_for=())
        rsp = self.rsp[b]
        burst = rsp.payload.burst
        start = self._places(m, f"starts{b}", use.note_new, use.burst, use.start)(burst)
        place = Signal(len(use.drain), name=f"arrives_at{b}")
        after = Signal(len(use.drain), name=f"behind{b}")
        next_place = self._places(m, f"next{b}", rsp.valid, burst, after)(burst)
        # The same contents again, since a memory has one read port.
        arrived = self._places(m, f"arrived{b}", rsp.valid, burst, after)(use.oldest)
        m.d.comb += [
            rsp.ready.eq(1), place.eq(Mux(use.begun.bit_select(burst, 1), next_place, start)), after.eq(place + 1),
            write.addr.eq(place[:-1]), write.en.eq(rsp.valid),
            write.data.data.eq(rsp.payload.data), write.data.error.eq(rsp.payload.error),
            read.addr.eq(use.drain[:-1]), read.en.eq(use.emit),
        ]
        return _Ring(read.data, arrived, Mux(rsp.valid, Const(1, c.ids_per_port) << burst, 0)[:c.ids_per_port])

    def _places(self, m: Module, name: str, enable: Value, burst: Value, place: Value) -> Callable[[Value], Value]:
        """A memory of places in a ring, one per burst, written when `enable`; returns its combinational read."""
        m.submodules[name] = places = memory.Memory(shape=unsigned(len(place)), depth=self.config.ids_per_port, init=[])
        write, read = places.write_port(), places.read_port(domain="comb")
        m.d.comb += [write.addr.eq(burst), write.data.eq(place), write.en.eq(enable)]

        def at(address: Value) -> Value:
            m.d.comb += read.addr.eq(address)
            return read.data
        return at
