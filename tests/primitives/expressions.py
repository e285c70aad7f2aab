"""Values of Amaranth expressions, for every input."""

from __future__ import annotations

from amaranth import Module, Shape, Signal
from amaranth.sim import Simulator


def values_of(shape: Shape) -> range:
    if shape.signed:
        return range(-(1 << (shape.width - 1)), 1 << (shape.width - 1))
    return range(1 << shape.width)


def evaluate(shape: Shape, make, amounts=(0,), module: Module | None = None) -> dict:
    """{(x, amount): make(x, amount)} over every x of `shape`, in Amaranth's simulator. `module`: what `make` adds
    statements to."""
    m = Module() if module is None else module
    x = Signal(shape)
    amount = Signal(range(max(amounts) + 1)) if len(amounts) > 1 else Signal(1)
    result = make(x, amount)
    out = Signal(result.shape())
    m.d.comb += out.eq(result)
    got = {}

    async def bench(ctx):
        for a in amounts:
            ctx.set(amount, a)
            for v in values_of(shape):
                ctx.set(x, v)
                await ctx.delay(1e-9)
                got[v, a] = ctx.get(out)

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
    return got
