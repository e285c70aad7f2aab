"""Cuts row requests into bursts that stay inside one interleave granule."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.interleave import channel_of
from ..bus.read_crossbar import response_banks
from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..stream.skid import SkidBuffer


def row_request(c: SpAttenConfig, bytes_bits: int, user_bits: int) -> data.StructLayout:
    """Read `bytes` ≥ 1 bytes from logical byte address `addr`; `user` comes back with every beat."""
    return data.StructLayout({
        "addr": unsigned(c.addr_bits), "bytes": unsigned(bytes_bits), "user": unsigned(user_bits),
    })


def burst_note(c: SpAttenConfig, user_bits: int) -> data.StructLayout:
    """What must be known of a burst when its beats leave. `first`, `last` burst of the row; `offset`: where the row
    begins in its first beat; `bank`: the response bank of its beats."""
    return data.StructLayout({
        "beats": unsigned(c.granule_beats.bit_length()), "offset": unsigned(clog2(c.beat_bytes)),
        "bank": unsigned(clog2(response_banks(c))), "first": 1, "last": 1, "user": unsigned(user_bits),
    })


def burst_layout(c: SpAttenConfig, user_bits: int) -> data.StructLayout:
    """One burst: its first beat's logical byte address, and the note."""
    return data.StructLayout({"addr": unsigned(c.addr_bits), "note": burst_note(c, user_bits)})


class BurstSplitter(wiring.Component):
    """Row requests `i` → bursts `o`, one burst per cycle without a gap between rows.

    A burst is the part of [addr, addr + bytes) inside one granule, widened to whole beats. Latency 2 cycles;
    `o` is registered and `o.ready` cut. `idle`: holds nothing.
    """

    LATENCY = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: SpAttenConfig, bytes_bits: int, user_bits: int):
        self.config = c = config
        self.bytes_bits = bytes_bits
        self.user_bits = user_bits
        super().__init__({
            "i": In(stream.Signature(row_request(c, bytes_bits, user_bits))),
            "o": Out(stream.Signature(burst_layout(c, user_bits))),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        low, beat = clog2(c.interleave_bytes), clog2(c.beat_bytes)
        m.submodules.out = skid = SkidBuffer(burst_layout(c, self.user_bits))
        connect(m, skid.o, flipped(self.o))
        out = skid.i.payload
        valid = Signal()                         # a row is being cut
        first = Signal()
        granule = Signal(c.addr_bits - low)      # granule of the next burst
        start = Signal(low)                      # its first byte in there
        # The row's last byte, counted from the granule's start: a few bits tell whether it lies in the granule. A count
        # of bytes left would have to be compared with the bytes to the granule's end.
        row_end = Signal(max(low, self.bytes_bits) + 1)
        offset = Signal(beat)                    # of the row in its first beat, the same for all its bursts
        user = Signal(self.user_bits)

        last = Signal()
        last_beat = Signal(low - beat)           # of the burst, in the granule
        beats = Signal(range(c.granule_beats + 1))
        free = Signal()
        m.d.comb += [
            last.eq(row_end[low:] == 0),
            last_beat.eq(row_end[beat:low] | (~last).replicate(low - beat)),
            beats.eq(last_beat - start[beat:] + 1),
            free.eq(skid.i.ready),
            self.i.ready.eq(~valid | (free & last)),
            self.idle.eq(~valid & ~self.o.valid),
        ]
        m.d.comb += [
            skid.i.valid.eq(valid),
            out.addr.eq(Cat(Const(0, beat), start[beat:], granule)),
            out.note.beats.eq(beats), out.note.offset.eq(offset),
            out.note.first.eq(first), out.note.last.eq(last),
            out.note.user.eq(user),
            out.note.bank.eq(channel_of(c, Cat(start, granule))[:clog2(response_banks(c))]),
        ]
        # Next row or next burst: the clock enables of registers that both write do not depend on the case.
        with m.If(free | ~valid):
            with m.If(last | ~valid):
                m.d.sync += [
                    valid.eq(self.i.valid), first.eq(1), user.eq(self.i.payload.user),
                    Cat(start, granule).eq(self.i.payload.addr), offset.eq(self.i.payload.addr[:beat]),
                    row_end.eq(self.i.payload.addr[:low] + self.i.payload.bytes - 1),
                ]
            with m.Else():
                m.d.sync += [granule.eq(granule + 1), start.eq(0), row_end[low:].eq(row_end[low:] - 1), first.eq(0)]
        contract(m, self.i.payload.bytes != 0, "a row has a byte", when=self.i.valid)
        contract(m, (beats != 0) & (beats <= c.granule_beats), "a burst has 1 to granule_beats beats", when=valid)
        return m
