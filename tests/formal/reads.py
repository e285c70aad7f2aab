"""Reads of a memory channel: ids, room for beats, bursts within pages; every beat found again where it was put."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.bus.axi import LEN_BITS, ar_layout, r_layout
from spatten_hw.bus.beat_pool import BeatPool
from spatten_hw.bus.read_issue import ReadIssue, issued_read
from spatten_hw.config import PAGE_BYTES, SpAttenConfig, clog2
from spatten_hw.stream.read_layouts import key_note, read_request, shared_note, value_note

from .harnesses import held


def one_of(valid, number, count: int):
    return Mux(valid, Const(1, count) << number, 0)[:count]


class IssueHarness(wiring.Component):
    """No id is given out twice, no beat asked for without room, every burst in one page and all beats of a read asked
    for once. Around it: ids and places that come back at any time."""

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "k": In(stream.Signature(read_request(c, key_note(c)))),
            "v": In(stream.Signature(read_request(c, value_note(c)))),
            "shared": In(stream.Signature(read_request(c, shared_note(c)))),
            "ar": Out(stream.Signature(ar_layout(c))),
            "released": In(1), "freed": In(1), "freed_id": In(c.id_bits), "start": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.dut = dut = ReadIssue(c)
        low = clog2(c.beat_bytes)
        for name in ("k", "v", "shared"):
            port = getattr(self, name)
            wiring.connect(m, wiring.flipped(port), getattr(dut, name))
            held(m, port, Assume)
            m.d.comb += Assume(~port.valid | ((port.p.beats != 0) & (port.p.beats <= c.most_beats)
                                              & (port.p.addr[:low] == 0)))
        wiring.connect(m, dut.ar, wiring.flipped(self.ar))
        held(m, self.ar, Assert)

        # Start-up: every place is released once, then `start` for good.
        places = Signal(range(c.pool_beats + 1))    # free
        started = Signal()
        m.d.sync += started.eq(self.start)
        ids = Signal(c.reads)                       # given out
        asked = Signal(range(c.most_beats * c.reads + c.most_beats + 1))    # beats of those, not yet in a burst
        issued, ar = dut.issued, self.ar
        starts, moves = issued.valid, ar.valid & ar.ready
        burst = ar.p.len + 1
        wait = Signal(range(2 * c.reads + 2))
        m.d.comb += [
            dut.released.eq(self.released), dut.start.eq(self.start),
            dut.freed.valid.eq(self.freed), dut.freed.payload.eq(self.freed_id),
            Assume(~started | self.start), Assume(~self.start | started | (places == c.pool_beats)),
            Assume(~self.released | (places != c.pool_beats)), Assume(~self.start | started | (wait == 2 * c.reads)),
            # An id comes back behind its bursts.
            Assume(~self.freed | ((self.freed_id < c.reads) & ids.bit_select(self.freed_id, 1) & (asked == 0)
                                  & ~ar.valid)),
            Assert(~starts | ~ids.bit_select(issued.id, 1)), Assert(~starts | (issued.id < c.reads)),
            Assert(~starts | (issued.beats <= places)), Assert(~starts | self.start),
            Assert(~moves | (burst <= asked)),
            Assert(~ar.valid | ids.bit_select(ar.p.id, 1)), Assert(~ar.valid | (ar.p.addr[:low] == 0)),
            Assert(~ar.valid | (ar.p.addr[low:clog2(PAGE_BYTES)] + burst <= PAGE_BYTES // c.beat_bytes)),
            Assert(~dut.idle | ((ids == 0) & (asked == 0))),
            Cover(ids.all() & ar.valid), Cover(moves & (burst < asked) & (ids == 1)), Cover(dut.idle & self.start),
        ]
        m.d.sync += [
            places.eq(places + self.released - Mux(starts, issued.beats, 0)),
            ids.eq((ids & ~one_of(self.freed, self.freed_id, c.reads)) | one_of(starts, issued.id, c.reads)),
            asked.eq(asked + Mux(starts, issued.beats, 0) - Mux(moves, burst[:LEN_BITS], 0)),
            wait.eq(Mux(wait == 2 * c.reads, wait, wait + 1)),
        ]
        return m


class PoolHarness(wiring.Component):
    """A beat looked up is the one that came for that read and number, whatever else has come and gone: no place has two
    beats. Around it: reads of any lengths, answered in any order, looked up once when they are complete."""

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "r": In(r_layout(c)), "r_valid": In(1), "issued": In(issued_read(c)), "move": In(1),
            "look": In(1), "look_id": In(c.id_bits), "which": In(c.id_bits), "number": In(c.beats_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.dut = dut = BeatPool(c)
        count = unsigned(c.beats_bits)
        state = data.StructLayout({"busy": 1, "due": count, "come": count, "complete": 1, "looked": count})
        reads = [Signal(state, name=f"read_{n}") for n in range(c.reads)]
        used = Signal(range(c.pool_beats + 1))      # places for beats that are asked for and not looked up yet
        issued, r = self.issued, self.r
        goes = issued.valid
        looks = Signal()                            # a look-up enters
        final = Signal()
        number = Signal(count)
        m.d.comb += [
            dut.r.payload.eq(r), dut.r.valid.eq(self.r_valid), dut.issued.eq(issued), dut.move.eq(self.move),
            dut.lookup.valid.eq(self.look), dut.lookup.id.eq(self.look_id), dut.lookup.beat.eq(number),
            looks.eq(self.look & self.move),
            Assume(~goes | dut.start), Assume(~goes | ((issued.beats != 0) & (issued.beats <= c.most_beats)
                                                       & (used + issued.beats <= c.pool_beats))),
            Assume((self.look_id < c.reads) & (issued.id < c.reads) & (r.id < c.reads)),
            Assert(dut.completed.ready | 1),
        ]
        m.d.comb += dut.completed.ready.eq(1)
        for n, read in enumerate(reads):
            with m.If(issued.id == n):
                m.d.comb += Assume(~goes | ~read.busy)
            with m.If(self.r_valid & (r.id == n)):
                m.d.comb += [Assume(read.busy & (read.come < read.due)), Assume(r.last == (read.come + 1 == read.due))]
                m.d.sync += read.come.eq(read.come + 1)
            with m.If(self.look_id == n):
                m.d.comb += [Assume(~self.look | read.complete), number.eq(read.looked),
                             final.eq(read.looked + 1 == read.due)]
                with m.If(looks):
                    m.d.sync += read.looked.eq(read.looked + 1)
                    with m.If(final):
                        m.d.sync += read.eq(0)
            with m.If(dut.completed.valid & (dut.completed.payload == n)):
                m.d.comb += Assert(read.busy & (read.come == read.due) & ~read.complete)
                m.d.sync += read.complete.eq(1)
            with m.If(goes & (issued.id == n)):
                m.d.sync += [read.busy.eq(1), read.due.eq(issued.beats), read.come.eq(0), read.looked.eq(0)]
        m.d.sync += used.eq(used + Mux(goes, issued.beats, 0) - (dut.released & dut.start))

        # Of one read and number, the data are kept.
        started, fixed = Signal(), Signal(len(self.which) + len(self.number))
        m.d.sync += [started.eq(1), fixed.eq(Cat(self.which, self.number))]
        m.d.comb += Assume(~started | (fixed == Cat(self.which, self.number)))
        come = Signal(count)
        for n, read in enumerate(reads):
            with m.If(self.which == n):
                m.d.comb += come.eq(read.come)
        kept = Signal(c.axi_data_bits)
        with m.If(self.r_valid & (r.id == self.which) & (come == self.number)):
            m.d.sync += kept.eq(r.data)
        watched = [looks & (self.look_id == self.which) & (number == self.number)]
        out = [kept]
        for stage in range(2):
            flag, wanted = Signal(name=f"watched_{stage}"), Signal(c.axi_data_bits, name=f"wanted_{stage}")
            with m.If(self.move):
                m.d.sync += [flag.eq(watched[-1]), wanted.eq(out[-1])]
            watched.append(flag)
            out.append(wanted)
        m.d.comb += [
            Assert(~watched[-1] | (dut.o.data == out[-1])), Cover(watched[-1] & (self.number == 1) & (used == 0)),
            Cover(used == c.pool_beats),
        ]
        return m
