"""Register stages that cut `ready`: one at full rate that cuts all signals, one without latency, one at half rate."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..primitives.pipeline import copies


class _Stage(wiring.Component):
    """Streams `i` and `o` of `shape`, which every stage here has."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})


class HalfBuffer(_Stage):
    """One register: latency 1 cycle, at most one payload in two cycles. No combinational path crosses it."""

    LATENCY = 1

    def elaborate(self, platform) -> Module:
        m = Module()
        stored = Signal(len(Value.cast(self.i.payload)), reset_less=True)
        full = Signal()
        m.d.comb += [self.i.ready.eq(~full), self.o.valid.eq(full), Value.cast(self.o.payload).eq(stored)]
        with m.If(~full):
            # Stored whether valid or not: the wide clock enable then does not depend on `i.valid`.
            m.d.sync += [stored.eq(Value.cast(self.i.payload)), full.eq(self.i.valid)]
        with m.Elif(self.o.ready):
            m.d.sync += full.eq(0)
        return m


class _Buffer(_Stage):
    """A stage with a spare register, which catches a payload when the output stalls."""

    def __init__(self, shape: ShapeLike):
        super().__init__(shape)
        # Made here, not in `elaborate`: the formal proofs state what it holds.
        self.spare = Signal(len(Value.cast(self.i.payload)), reset_less=True)


class SkidBuffer(_Buffer):
    """Two registers: one drives the output, the other catches the payload that arrives as it stalls.

    Latency `LATENCY` = 1 cycle from empty, 1 payload per cycle sustained, holds at most 2 payloads. Every
    output port is a register (or its inverse): no combinational path crosses it in either direction.
    """

    LATENCY = 1

    def elaborate(self, platform) -> Module:
        m = Module()
        arriving = Value.cast(self.i.payload)
        front = Signal(len(arriving), reset_less=True)
        front_valid = Signal()
        spare = self.spare
        spare_valid = Signal()
        m.d.comb += [
            self.i.ready.eq(~spare_valid),
            self.o.valid.eq(front_valid),
            Value.cast(self.o.payload).eq(front),
        ]
        with m.If(self.o.ready | ~front_valid):
            # The payload in `spare` is older than the arriving one; while `spare` is full, nothing is accepted.
            m.d.sync += [
                front.eq(Mux(spare_valid, spare, arriving)),
                front_valid.eq(spare_valid | self.i.valid),
                spare_valid.eq(0),
            ]
        with m.Elif(self.i.valid & ~spare_valid):
            m.d.sync += spare_valid.eq(1)
        _catch(m, spare, ~spare_valid, arriving)
        return m


class SpareBuffer(_Buffer):
    """One register that catches the payload that arrives as the output stalls; otherwise it passes through.

    Latency 0, 1 payload per cycle sustained. `i.ready` is a register: behind the last register of a
    pipeline it is that pipeline's clock enable, with no combinational path in front of it. Not cut: valid and payload.
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        arriving = Value.cast(self.i.payload)
        # Of this polarity, since an inverted enable would keep an FPGA's flip-flops out of its multipliers. Two copies,
        # since each drives up to a whole row: one is the enable of `spare`, the other selects in the multiplexers.
        empty, passing = copies(m, ~self.o.valid | self.o.ready, 2, "empty", init=1)
        m.d.comb += [
            self.i.ready.eq(empty),
            self.o.valid.eq(~passing | self.i.valid),
            Value.cast(self.o.payload).eq(Mux(passing, arriving, self.spare)),
        ]
        _catch(m, self.spare, empty, arriving)
        return m


def _catch(m: Module, spare: Signal, empty: Value, arriving: Value) -> None:
    """`spare` follows the input while it is free: its wide clock enable depends neither on valid nor on a stall."""
    with m.If(empty):
        m.d.sync += spare.eq(arriving)


def connect_cut(m: Module, name: str, source: stream.Interface, sink: stream.Interface) -> SkidBuffer:
    """Joins `source` to `sink` through a `SkidBuffer`, submodule `name`_skid of `m`: no combinational path is left
    between the two. Returns the buffer: what it holds has left `source` and is not in `sink`'s block yet."""
    skid = SkidBuffer(source.payload.shape())
    m.submodules[f"{name}_skid"] = skid
    connect(m, source, skid.i)
    connect(m, skid.o, sink)
    return skid
