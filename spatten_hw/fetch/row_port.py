"""One lane of a fetcher: row requests in, rows at on-chip width out, both in the same order (SpAtten, Figure 8)."""

from __future__ import annotations

from amaranth import Module, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.read_crossbar import request_layout, response_banks, response_layout
from ..config import SpAttenConfig
from ..contract import contract
from ..stream.fifo import StreamFifo
from .aligner import Aligner, max_row_bytes, row_mode, row_tag, tagged
from .converter import BitWidthConverter, port_row
from .read_port import ReadPort
from .splitter import row_request

#: Row requests a row port queues.
QUEUE_DEPTH = 16
#: Requests that may still be on their way when `room` falls (`RowGenerator.IN_FLIGHT` must not exceed it).
QUEUE_MARGIN = 8


def port_request(c: SpAttenConfig) -> data.StructLayout:
    """One plane row: logical byte address, bytes, conversion."""
    return row_request(c, max_row_bytes(c).bit_length(), row_mode().size)


class RowPort(wiring.Component):
    """Queue → `ReadPort` → `Aligner` → `BitWidthConverter`.

    Ports: `i` (`port_request`), `o` (`port_row`), `req`/`rsp` (crossbar), `room`: the queue has space for
    `QUEUE_MARGIN` more requests, `modest`: see `ReadPort`, `beats`/`beats_lsb`: beats requested in this cycle and of
    which plane (registered), `idle`, `waits`: for memory (see `ReadPort`). Sustains one beat per cycle.
    """

    i: stream.Interface
    o: stream.Interface
    req: stream.Interface
    rsp: list[stream.Interface]

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(port_request(c))), "o": Out(stream.Signature(port_row(c))),
            "req": Out(stream.Signature(request_layout(c))),
            "rsp": In(stream.Signature(response_layout(c))).array(response_banks(c)),
            "modest": In(1), "room": Out(1), "beats": Out(unsigned(c.granule_beats.bit_length())), "beats_lsb": Out(1),
            "idle": Out(1), "waits": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.queue = queue = StreamFifo(port_request(c), QUEUE_DEPTH)
        m.submodules.read_port = port = ReadPort(c, max_row_bytes(c), row_tag().size)
        m.submodules.aligner = aligner = Aligner(c)
        m.submodules.converter = converter = BitWidthConverter(c)
        connect(m, flipped(self.i), queue.i)
        asked, request = queue.o.payload, port.i.payload
        m.d.comb += [
            self.waits.eq(port.waits), port.modest.eq(self.modest),
            port.i.valid.eq(queue.o.valid), queue.o.ready.eq(port.i.ready),
            request.addr.eq(asked.addr), request.bytes.eq(asked.bytes),
            request.user.eq(tagged(c, asked.user, asked.addr, asked.bytes)),
        ]
        connect(m, port.req, flipped(self.req))
        for bank, answers in enumerate(self.rsp):
            connect(m, flipped(answers), port.rsp[bank])
        connect(m, port.o, aligner.i)
        connect(m, aligner.o, converter.i)
        connect(m, converter.o, flipped(self.o))
        m.d.sync += [
            self.room.eq(queue.level <= QUEUE_DEPTH - QUEUE_MARGIN),
            self.beats.eq(port.beats), self.beats_lsb.eq(row_tag()(port.beats_user).mode.lsb),
            self.idle.eq((queue.level == 0) & port.idle & aligner.idle & converter.idle
                         & ~self.i.valid),
        ]
        contract(m, self.i.payload.bytes != 0, "a row has a byte", when=self.i.valid)
        return m
