"""Responses to characters for the line."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.host.link.protocol import CRC_BYTES, ESCAPE, ESCAPE_XOR, FLAG, HEADER_BYTES, MAX_PAYLOAD

from .frame_receiver import CRC


def response_layout() -> data.StructLayout:
    """The header of a response, in the order of its bytes."""
    return data.StructLayout({
        "op": unsigned(8), "sequence": unsigned(8), "length": unsigned(16), "status": unsigned(8),
        "flags": unsigned(8), "damaged": unsigned(16),
    })


class FrameSender(wiring.Component):
    """Sends a flag, `header`, `header.length` bytes of the frame buffer, their CRC, a flag; stuffed.

    `start` begins; `header` and the buffer hold still until `done`, which is high for the cycle in which the last
    flag is taken. The buffer answers `r_addr` on `r_data` one cycle later. A byte takes three cycles at least: look,
    pick (the memory's output, the header and the CRC meet in a register), send.
    """

    o: stream.Interface
    header: data.View
    start: Signal
    done: Signal
    r_addr: Signal
    r_data: Signal

    def __init__(self) -> None:
        super().__init__({
            "o": Out(stream.Signature(8)), "header": In(response_layout()), "start": In(1), "done": Out(1),
            "r_addr": Out(range(MAX_PAYLOAD)), "r_data": In(8),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = check = CRC.create()
        index = Signal(range(HEADER_BYTES + MAX_PAYLOAD + CRC_BYTES + 1))
        end = Signal.like(index)
        in_crc = Signal(range(CRC_BYTES))
        picked = Signal(8)
        byte = Signal(8)
        send = Signal(8)
        special = Signal()
        m.d.comb += [
            end.eq(self.header.length + HEADER_BYTES), in_crc.eq(index - end),
            self.r_addr.eq(index - HEADER_BYTES), special.eq((byte == FLAG) | (byte == ESCAPE)),
            check.data.eq(byte), self.o.payload.eq(send),
        ]
        with m.If(index < HEADER_BYTES):
            m.d.comb += picked.eq(self.header.as_value().word_select(index[:HEADER_BYTES.bit_length() - 1], 8))
        with m.Elif(index < end):
            m.d.comb += picked.eq(self.r_data)
        with m.Else():
            m.d.comb += picked.eq(check.crc.word_select(in_crc, 8))

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += check.start.eq(1)
                m.d.sync += index.eq(0)
                with m.If(self.start):
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.comb += [self.o.valid.eq(1), send.eq(FLAG)]
                with m.If(self.o.ready):
                    m.next = "LOOK"
            # The buffer's data are there in the next cycle.
            with m.State("LOOK"):
                m.next = "PICK"
            with m.State("PICK"):
                m.d.sync += byte.eq(picked)
                m.next = "BYTE"
            with m.State("BYTE"):
                m.d.comb += [self.o.valid.eq(1), send.eq(byte)]
                with m.If(special):
                    m.d.comb += send.eq(ESCAPE)
                    with m.If(self.o.ready):
                        m.next = "ESCAPED"
                with m.Elif(self.o.ready):
                    self._next(m, index, end, check)
            with m.State("ESCAPED"):
                m.d.comb += [self.o.valid.eq(1), send.eq(byte ^ ESCAPE_XOR)]
                with m.If(self.o.ready):
                    self._next(m, index, end, check)
            with m.State("CLOSE"):
                m.d.comb += [self.o.valid.eq(1), send.eq(FLAG), self.done.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m

    def _next(self, m: Module, index: Signal, end: Signal, check) -> None:
        """A byte has been sent."""
        m.d.comb += check.valid.eq(index < end)
        m.d.sync += index.eq(index + 1)
        m.next = "LOOK"
        with m.If(index == end + (CRC_BYTES - 1)):
            m.next = "CLOSE"
