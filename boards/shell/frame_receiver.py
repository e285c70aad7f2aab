"""Characters from the line to whole, sound frames."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.host.link.protocol import CRC_BYTES, ESCAPE, ESCAPE_XOR, FLAG, HEADER_BYTES, MAX_PAYLOAD

#: The CRC of frames, a byte at a time.
CRC = crc.catalog.CRC32_ISO_HDLC(data_width=8)
#: Most bytes of a frame between its flags, before stuffing.
MOST_BYTES = HEADER_BYTES + MAX_PAYLOAD + CRC_BYTES


def character_layout() -> data.StructLayout:
    """A character from the line; `bad`: it, or one before it, was lost or damaged."""
    return data.StructLayout({"data": unsigned(8), "bad": 1})


def header_layout() -> data.StructLayout:
    """The header of a request, in the order of its bytes."""
    return data.StructLayout({
        "op": unsigned(8), "sequence": unsigned(8), "length": unsigned(16), "address": unsigned(32),
    })


class FrameReceiver(wiring.Component):
    """Unstuffs `i`, a character a cycle, and checks length and CRC at the closing flag.

    `done`: a sound frame waits: its `header`, `count` bytes of payload, which were written to the frame buffer through
    `w_en`, `w_addr`, `w_data`; until `release` nothing more is taken. `damaged`, for one cycle: what lay between two
    flags was no frame. Two flags side by side are none, so a frame may begin with a flag that also ends noise. After
    whatever garbage, the next flag starts afresh.
    """

    i: stream.Interface
    header: data.View
    count: Signal
    done: Signal
    release: Signal
    damaged: Signal
    w_en: Signal
    w_addr: Signal
    w_data: Signal

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(character_layout())), "header": Out(header_layout()),
            "count": Out(range(MAX_PAYLOAD + 1)), "done": Out(1), "release": In(1), "damaged": Out(1),
            "w_en": Out(1), "w_addr": Out(range(MAX_PAYLOAD)), "w_data": Out(8),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = check = CRC.create()
        received = Signal(range(MOST_BYTES + 1))
        bad = Signal()
        escaped = Signal()
        header = Signal(8 * HEADER_BYTES)
        character = self.i.payload
        byte = Signal(8)
        take = Signal()
        sound = Signal()
        m.d.comb += [
            self.i.ready.eq(~self.done), self.header.as_value().eq(header),
            self.count.eq(received - (HEADER_BYTES + CRC_BYTES)),
            byte.eq(character.data), check.data.eq(byte),
            sound.eq(check.match_detected & (received >= HEADER_BYTES + CRC_BYTES) & ~bad & ~escaped),
            self.w_addr.eq(received - HEADER_BYTES), self.w_data.eq(byte),
            self.w_en.eq(take & (received >= HEADER_BYTES) & (received < HEADER_BYTES + MAX_PAYLOAD)),
        ]

        def restart() -> None:
            m.d.comb += check.start.eq(1)
            m.d.sync += [received.eq(0), bad.eq(0), escaped.eq(0)]

        with m.If(self.done):
            with m.If(self.release):
                m.d.sync += self.done.eq(0)
                restart()
        with m.Elif(self.i.valid & character.bad):
            m.d.sync += bad.eq(1)
        with m.Elif(self.i.valid & (character.data == FLAG)):
            with m.If(sound):
                m.d.sync += self.done.eq(1)
            with m.Else():
                m.d.comb += self.damaged.eq((received != 0) | bad | escaped)
                restart()
        with m.Elif(self.i.valid & (character.data == ESCAPE)):
            m.d.sync += escaped.eq(1)
        with m.Elif(self.i.valid):
            m.d.comb += [take.eq(received != MOST_BYTES), check.valid.eq(take)]
            m.d.sync += escaped.eq(0)
            with m.If(escaped):
                m.d.comb += byte.eq(character.data ^ ESCAPE_XOR)
            with m.If(take):
                m.d.sync += received.eq(received + 1)
            with m.Else():
                m.d.sync += bad.eq(1)
            with m.If(take & (received < HEADER_BYTES)):
                m.d.sync += header.eq(Cat(header[8:], byte))
        return m
