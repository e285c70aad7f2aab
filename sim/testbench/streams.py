"""One coroutine drives and watches every stream of a component, cycle by cycle.

A cycle here: inputs change on the falling edge, everything is read once settled (`ReadOnly`), the rising
edge then commits the transfers. Every stream is watched for the stream contract: once `valid` is high it
stays high with an unchanged payload until `ready` (amaranth.lib.stream).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly


@dataclass
class Source:
    """Payloads (integers) to send into input stream `name`, with probability `stall` of waiting a cycle."""

    items: list[int]
    stall: float = 0.0
    at: int = 0
    valid: bool = False
    cycles: list[int] = field(default_factory=list)


@dataclass
class Sink:
    """Receiver of output stream `name`; `items` holds payloads, `cycles` the cycle each was taken."""

    stall: float = 0.0
    items: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)


class Monitor(Protocol):
    """What a bench calls when all signals of a cycle have settled, and at the end of a reset."""

    def sample(self) -> None: ...

    def reset(self) -> None: ...


class Bench:
    """Clock, reset and all streams of `dut`.

    `inputs`, `outputs`: names of the streams whose direction is into / out of the component. `seed` for
    the stalls. Errors are AssertionErrors with stream name and cycle.
    """

    def __init__(self, dut, inputs: Sequence[str] = (), outputs: Sequence[str] = (), seed: int | None = None):
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED if seed is None else seed)
        #: Of its own, so that what a seed means does not depend on it.
        self._noise = random.Random("idle payloads")
        self.inputs = {n: _Port(dut, n) for n in inputs}
        self.outputs = {n: _Port(dut, n) for n in outputs}
        self.sources: dict[str, Source] = {n: Source([]) for n in inputs}
        self.sinks: dict[str, Sink] = {n: Sink() for n in outputs}
        self.cycle = 0
        #: Watch every step, whoever makes it (`axi_watch.py`).
        self.monitors: list[Monitor] = []
        self._held: dict[str, int | None] = dict.fromkeys(outputs)

    async def start(self) -> None:
        """Starts the clock and resets for two cycles; all inputs idle, all outputs not ready."""
        for p in self.inputs.values():
            p.valid.value = 0
            p.payload.value = 0
        for p in self.outputs.values():
            p.ready.value = 0
        Clock(self.dut.clk, 2, "ns", impl="gpi").start()
        await self.reset()

    async def reset(self) -> None:
        """Holds reset for two cycles and forgets what the streams were doing."""
        self.dut.rst.value = 1
        for _ in range(2):
            await FallingEdge(self.dut.clk)
        for monitor in self.monitors:
            monitor.reset()
        self.dut.rst.value = 0
        self._held = dict.fromkeys(self.outputs)

    def send(self, name: str, items: Sequence[int], stall: float = 0.0) -> Source:
        """Queues payloads for input stream `name`, replacing what was sent before."""
        self.sources[name] = Source(list(items), stall)
        return self.sources[name]

    def receive(self, name: str, stall: float = 0.0) -> Sink:
        """Fresh receiver for output stream `name`."""
        self.sinks[name] = Sink(stall)
        return self.sinks[name]

    async def step(self, watch: Callable[[], None] | None = None) -> None:
        """One clock cycle. `watch` is called when all signals have settled, before the rising edge."""
        rng = self.rng
        for name, port in self.inputs.items():
            s = self.sources[name]
            if not s.valid and s.at < len(s.items) and (s.stall == 0 or rng.random() >= s.stall):
                port.payload.value = s.items[s.at]
                port.valid.value = 1
                s.valid = True
        for name, port in self.outputs.items():
            k = self.sinks[name]
            port.ready.value = 1 if k.stall == 0 or rng.random() >= k.stall else 0
        await ReadOnly()
        taken = []
        for name, port in self.inputs.items():
            s = self.sources[name]
            if s.valid and int(port.ready.value):
                s.cycles.append(self.cycle)
                taken.append((port, s))
        for name, port in self.outputs.items():
            held = self._held[name]
            if int(port.valid.value):
                payload = int(port.payload.value)
                assert held is None or payload == held, f"{name}: payload changed while waiting, cycle {self.cycle}"
                if int(port.ready.value):
                    self.sinks[name].items.append(payload)
                    self.sinks[name].cycles.append(self.cycle)
                    self._held[name] = None
                else:
                    self._held[name] = payload
            else:
                assert held is None, f"{name}: valid dropped before ready, cycle {self.cycle}"
        for monitor in self.monitors:
            monitor.sample()
        if watch is not None:
            watch()
        await FallingEdge(self.dut.clk)
        self.cycle += 1
        for port, s in taken:
            s.at += 1
            s.valid = False
            port.valid.value = 0
            # What is not offered may be anything.
            port.payload.value = self._noise.getrandbits(len(port.payload))

    async def run(self, until: Callable[[], bool], limit: int, watch: Callable[[], None] | None = None) -> int:
        """Steps until `until()` holds; returns the cycles taken; AssertionError after `limit` cycles."""
        first = self.cycle
        while not until():
            assert self.cycle - first < limit, f"cycle limit {limit} reached: {self.state()}"
            await self.step(watch)
        return self.cycle - first

    async def idle(self, cycles: int) -> None:
        """Steps `cycles` cycles, for instance to catch stray outputs."""
        for _ in range(cycles):
            await self.step()

    def state(self) -> str:
        sent = ", ".join(f"{n} sent {s.at}/{len(s.items)}" for n, s in self.sources.items())
        got = ", ".join(f"{n} got {len(k.items)}" for n, k in self.sinks.items())
        return f"{sent}; {got}"


class _Port:
    """The three signals of a flattened stream port."""

    def __init__(self, dut, name: str):
        self.valid = getattr(dut, f"{name}__valid")
        self.ready = getattr(dut, f"{name}__ready")
        self.payload = getattr(dut, f"{name}__payload")


def pack(layout, value) -> int:
    """Payload integer of `value` (nested dicts/lists) in an Amaranth data layout."""
    return layout.const(value).as_value().value


def unpack(layout, bits: int) -> dict:
    """Nested dicts/lists of plain integers from a payload integer; the inverse of `pack`."""
    from amaranth.hdl import Shape
    from amaranth.lib import data

    def field(shape, raw):
        if isinstance(shape, data.StructLayout):
            return {k: cut(f, raw) for k, f in shape}
        if isinstance(shape, data.ArrayLayout):
            return [cut(f, raw) for _, f in shape]
        s = Shape.cast(shape)
        return raw - (1 << s.width) if s.signed and s.width and raw >> (s.width - 1) else raw

    def cut(f, raw):
        width = Shape.cast(f.shape).width if not hasattr(f.shape, "size") else f.shape.size
        return field(f.shape, (raw >> f.offset) & ((1 << width) - 1))

    return field(layout, bits)
