"""A register stage for streams that cuts valid, payload *and* ready."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect


class SkidBuffer(wiring.Component):
    """Two registers: one drives the output, the other catches the payload that arrives as it stalls.

    Latency `LATENCY` = 1 cycle from empty, 1 payload per cycle sustained, holds at most 2 payloads. Every
    output port is a register (or its inverse): no combinational path crosses it in either direction.
    """

    LATENCY = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})
        # Made here, not in `elaborate`: the formal proof states what it holds.
        self.spare = Signal(len(Value.cast(self.i.payload)))

    def elaborate(self, platform) -> Module:
        m = Module()
        arriving = Value.cast(self.i.payload)
        front = Signal(len(arriving))
        front_valid = Signal()
        spare = self.spare
        spare_valid = Signal()
        m.d.comb += [
            self.i.ready.eq(~spare_valid),
            self.o.valid.eq(front_valid),
            Value.cast(self.o.payload).eq(front),
        ]
        with m.If(self.o.ready | ~front_valid):
            # The spare one is older than what arrives; while it is full nothing is accepted.
            m.d.sync += [
                front.eq(Mux(spare_valid, spare, arriving)),
                front_valid.eq(spare_valid | self.i.valid),
                spare_valid.eq(0),
            ]
        with m.Elif(self.i.valid & ~spare_valid):
            m.d.sync += [spare.eq(arriving), spare_valid.eq(1)]
        return m


def connect_cut(m: Module, name: str, source: stream.Interface, sink: stream.Interface) -> SkidBuffer:
    """Joins `source` to `sink` through a `SkidBuffer`, submodule `name`_skid of `m`: no combinational path is left
    between the two. Returns the buffer: what it holds has left `source` and is not in `sink`'s block yet."""
    skid = SkidBuffer(source.payload.shape())
    m.submodules[f"{name}_skid"] = skid
    connect(m, source, skid.i)
    connect(m, skid.o, sink)
    return skid
