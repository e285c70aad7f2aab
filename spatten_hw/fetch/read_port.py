"""Row requests to bursts to beats in order, with several bursts outstanding."""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..bus.read_crossbar import burst_bits, request_layout, response_layout
from ..config import SpAttenConfig, clog2
from .splitter import BurstSplitter, burst_note, row_request


def row_beat(c: SpAttenConfig, user_bits: int) -> data.StructLayout:
    """One whole beat of a row. `first`, `last` of the row; `offset`: its first byte in its first beat."""
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "offset": unsigned(clog2(c.beat_bytes)), "first": 1, "last": 1,
        "error": 1, "user": unsigned(user_bits),
    })


def longest_row_beats(c: SpAttenConfig, row_bytes: int) -> int:
    """Beats of the longest row at the worst alignment."""
    return -(-(row_bytes - 1) // c.beat_bytes) + 1


class ReadPort(wiring.Component):
    """Reads rows through one crossbar requester; rows and beats come out in the order of the requests.

    Ports: `i` (`row_request`), `o` (`row_beat`), `req`/`rsp` (crossbar), `beats`/`beats_user`: beats requested
    in this cycle and for whom (0 if none), `idle`. Up to `ids_per_port` bursts are outstanding; room in the
    reorder buffer is taken before a burst is requested, so a response never waits. Sustains one burst
    request and one beat per cycle; 3 cycles from `i` to `req`, 2 from `rsp` to `o`.
    `row_bytes` is the longest row the port is sized for; longer ones (up to `bytes_bits`) work, only slower.
    """

    i: stream.Interface
    o: stream.Interface
    req: stream.Interface
    rsp: stream.Interface

    def __init__(self, config: SpAttenConfig, row_bytes: int, user_bits: int, bytes_bits: int | None = None):
        self.config = c = config
        self.user_bits = user_bits
        self.bytes_bits = row_bytes.bit_length() if bytes_bits is None else bytes_bits
        # A burst is at most a granule and at most a row, and no more bursts than ids can fill the buffer.
        needed = c.ids_per_port * min(c.granule_beats, longest_row_beats(c, row_bytes))
        if bytes_bits is not None:
            needed = max(needed, c.granule_beats)
        self.depth = 1 << clog2(max(2, needed))
        super().__init__({
            "i": In(stream.Signature(row_request(c, self.bytes_bits, user_bits))),
            "o": Out(stream.Signature(row_beat(c, user_bits))),
            "req": Out(stream.Signature(request_layout(c))),
            "rsp": In(stream.Signature(response_layout(c))),
            "beats": Out(c.granule_beats.bit_length()), "beats_user": Out(user_bits), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        ids, depth = c.ids_per_port, self.depth
        ptr_bits = clog2(depth)
        m.submodules.splitter = splitter = BurstSplitter(c, self.bytes_bits, self.user_bits)
        connect(m, wiring.flipped(self.i), splitter.i)
        burst = splitter.o

        # Bursts are numbered in a ring and leave in order, so a number is free once its beats are out.
        head = Signal(burst_bits(c))        # next burst number to use
        tail = Signal(burst_bits(c))        # burst being emitted
        bursts = Signal(range(ids + 1))     # numbers in use
        # Next free beat of the ring. Like `places` and `drain` one bit wider than an address, so that a burst
        # as long as the ring still shows how far it has come.
        fill = Signal(ptr_bits + 1)
        free = Signal(range(depth + 1), init=depth)
        room = Signal()
        send = Signal()
        m.d.comb += [
            room.eq((bursts != ids) & (burst.payload.note.beats <= free)),
            self.req.valid.eq(burst.valid & room),
            self.req.payload.addr.eq(burst.payload.addr),
            self.req.payload.beats.eq(burst.payload.note.beats),
            self.req.payload.burst.eq(head),
            burst.ready.eq(self.req.ready & room),
            send.eq(self.req.valid & self.req.ready),
            self.beats.eq(Mux(send, burst.payload.note.beats, 0)),
            self.beats_user.eq(burst.payload.note.user),
        ]
        # Where the next beat of each burst goes.
        places = Array([Signal(ptr_bits + 1, name=f"place{k}") for k in range(ids)])
        m.submodules.notes = notes = memory.Memory(shape=burst_note(c, self.user_bits), depth=ids, init=[])
        note_in = notes.write_port()
        note = notes.read_port(domain="comb")
        m.d.comb += [
            note_in.addr.eq(head), note_in.data.eq(burst.payload.note), note_in.en.eq(send), note.addr.eq(tail),
        ]

        ring_shape = data.StructLayout({"data": unsigned(c.axi_data_bits), "error": 1})
        m.submodules.ring = ring = memory.Memory(shape=ring_shape, depth=depth, init=[])
        write = ring.write_port()
        read = ring.read_port(transparent_for=())
        place = Signal(ptr_bits + 1)
        m.d.comb += [
            self.rsp.ready.eq(1),
            place.eq(places[self.rsp.payload.burst]),
            write.addr.eq(place[:ptr_bits]), write.en.eq(self.rsp.valid),
            write.data.data.eq(self.rsp.payload.data), write.data.error.eq(self.rsp.payload.error),
        ]
        with m.If(self.rsp.valid):
            m.d.sync += places[self.rsp.payload.burst].eq(place + 1)

        # Emission: the beat at `drain` is there once the place of the oldest burst has passed it.
        drain = Signal(ptr_bits + 1)
        left = Signal(c.granule_beats.bit_length())   # beats of the oldest burst already emitted
        here = Signal()
        out = Signal(burst_note(c, self.user_bits))   # of the beat in the ring's read register
        final = Signal()                    # last beat of the burst
        step = Signal()
        advance = Signal()
        m.d.comb += [
            here.eq((bursts != 0) & (places[tail] != drain)),
            final.eq(left + 1 == note.data.beats),
            advance.eq(~self.o.valid | self.o.ready),
            step.eq(here & advance),
            read.addr.eq(drain[:ptr_bits]), read.en.eq(advance),
            self.o.payload.data.eq(read.data.data), self.o.payload.error.eq(read.data.error),
            self.o.payload.first.eq(out.first), self.o.payload.last.eq(out.last),
            self.o.payload.offset.eq(out.offset), self.o.payload.user.eq(out.user),
        ]
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(here), out.offset.eq(note.data.offset), out.user.eq(note.data.user),
                out.first.eq(note.data.first & (left == 0)), out.last.eq(note.data.last & final),
            ]
        with m.If(step):
            m.d.sync += [drain.eq(drain + 1), left.eq(Mux(final, 0, left + 1))]
            with m.If(final):
                m.d.sync += tail.eq(tail + 1)
        with m.If(send):
            m.d.sync += [head.eq(head + 1), fill.eq(fill + burst.payload.note.beats), places[head].eq(fill)]
        m.d.sync += [
            bursts.eq(bursts + send - (step & final)),
            free.eq(free - Mux(send, burst.payload.note.beats, 0) + step),
            self.idle.eq(splitter.idle & (bursts == 0) & ~self.o.valid & ~self.i.valid),
        ]
        return m
