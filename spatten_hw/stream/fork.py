"""One stream to several consumers, each at its own pace."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract import contract


class StreamFork(wiring.Component):
    """Hands every payload of `i` to each of `o0` … `o{n-1}` exactly once.

    Latency 0, 1 payload per cycle. An output that took the payload goes invalid until the others have
    taken it too; `valid` of an output depends on `i.valid` and its own past only, never on a `ready`.
    Not cut: `i.valid`, `i.payload` → outputs; all `ready` → `i.ready`. Holds no payload: `i` stays until
    all took it.
    """

    i: stream.Interface

    def __init__(self, shape: ShapeLike, n: int):
        if n < 1:
            raise ValueError(f"a fork needs at least 1 output, not {n}")
        self.shape = shape
        self.n = n
        super().__init__({
            "i": In(stream.Signature(shape)),
            **{f"o{j}": Out(stream.Signature(shape)) for j in range(n)},
        })
        # Outputs that have taken the current payload; made here because the formal proof looks at it.
        self.taken = Signal(n)

    @property
    def outputs(self) -> list[stream.Interface]:
        """o0 … o{n-1} as a list."""
        return [getattr(self, f"o{j}") for j in range(self.n)]

    def elaborate(self, platform) -> Module:
        m = Module()
        taken = self.taken
        ready = Signal(self.n)
        m.d.comb += [
            ready.eq(Cat(o.ready for o in self.outputs)),
            self.i.ready.eq((taken | ready).all()),
        ]
        for j, o in enumerate(self.outputs):
            m.d.comb += [
                Value.cast(o.payload).eq(Value.cast(self.i.payload)),
                o.valid.eq(self.i.valid & ~taken[j]),
            ]
        with m.If(self.i.valid):
            with m.If(self.i.ready):
                m.d.sync += taken.eq(0)
            with m.Else():
                m.d.sync += taken.eq(taken | ready)
        contract(m, self.i.valid | (taken == 0), "a payload that one output has taken is there until all have")
        return m
