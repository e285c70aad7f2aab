"""Random AXI traffic on memory ports in Amaranth's simulator, compared with a byte array."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from spatten_hw.config import SpAttenConfig

DECERR = 3


class AxiMaster:
    """A master on `port`; `write` and `read` queue bursts, `add_to` puts it into a simulation. Addresses, data and
    answers pause at random (`stall`: probability per clock). Answers are checked: order, ids, last, response, data.
    `fill`: what memory holds at first."""

    def __init__(self, port, config: SpAttenConfig, size: int, rng: random.Random, stall: float = 0.3,
                 fill: int = 0):
        self.port, self.config, self.size, self.rng, self.stall = port, config, size, rng, stall
        self.memory = bytearray([fill] * size)
        self.aw: deque = deque()
        self.w: deque = deque()
        self.b: deque = deque()
        self.ar: deque = deque()
        self.r: deque = deque()
        self.beats = self.written = 0

    @property
    def idle(self) -> bool:
        return not (self.aw or self.w or self.b or self.ar or self.r)

    def write(self, address: int, beats: int) -> None:
        """A burst of random data under random strobes."""
        width = self.config.beat_bytes
        ident = self.rng.randrange(1 << self.config.id_bits)
        self.aw.append({"addr": address, "id": ident, "len": beats - 1})
        error = False
        for n in range(beats):
            at, new = address + n * width, self.rng.randbytes(width)
            strobe = self.rng.choice(((1 << width) - 1, self.rng.randrange(1 << width)))
            self.w.append({"data": int.from_bytes(new, "little"), "strb": strobe, "last": n == beats - 1})
            if at >= self.size:
                error = True
                continue
            for i in range(width):
                if strobe >> i & 1:
                    self.memory[at + i] = new[i]
        self.b.append((ident, DECERR if error else 0))

    def read(self, address: int, beats: int) -> None:
        """A burst whose data must be what the memory holds now."""
        width = self.config.beat_bytes
        ident = self.rng.randrange(1 << self.config.id_bits)
        self.ar.append({"addr": address, "id": ident, "len": beats - 1})
        for n in range(beats):
            at = address + n * width
            beyond = at >= self.size
            self.r.append((ident, n == beats - 1, DECERR if beyond else 0,
                           None if beyond else int.from_bytes(self.memory[at:at + width], "little")))

    def random(self, count: int, kind: Callable[[int, int], None], first: int, end: int, most: int = 8) -> None:
        """`count` bursts inside [first, end)."""
        width = self.config.beat_bytes
        for _ in range(count):
            beats = self.rng.randint(1, most)
            kind(self.rng.randrange(first // width, (end - beats * width) // width + 1) * width, beats)

    def add_to(self, simulator: Simulator) -> None:
        for name in ("aw", "w", "ar"):
            simulator.add_testbench(self._sender(name), background=True)
        for name in ("b", "r"):
            simulator.add_testbench(self._receiver(name), background=True)

    def _sender(self, name: str):
        stream, queue = getattr(self.port, name), getattr(self, name)

        async def send(ctx):
            while True:
                if not queue or self.rng.random() < self.stall:
                    await ctx.tick()
                    continue
                ctx.set(stream.payload, queue[0])
                ctx.set(stream.valid, 1)
                taken = False
                while not taken:
                    _, _, taken = await ctx.tick().sample(stream.ready)
                ctx.set(stream.valid, 0)
                queue.popleft()
        return send

    def _receiver(self, name: str):
        stream = getattr(self.port, name)

        async def receive(ctx):
            while True:
                ready = self.rng.random() >= self.stall
                ctx.set(stream.ready, ready)
                _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
                if valid and ready:
                    getattr(self, f"_take_{name}")(payload)
        return receive

    def _take_b(self, payload) -> None:
        assert (payload.id, payload.resp) == self.b.popleft()
        self.written += 1

    def _take_r(self, payload) -> None:
        ident, last, resp, data = self.r.popleft()
        assert (payload.id, payload.last, payload.resp) == (ident, last, resp)
        assert data is None or payload.data == data
        self.beats += 1


def simulate(top: Elaboratable, bench, *parts: AxiMaster, limit: int = 20_000, step=None) -> None:
    """Runs coroutine `bench` beside masters and `step`, a background testbench; `limit`: clocks."""
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    for part in parts:
        part.add_to(simulator)
    if step is not None:
        simulator.add_testbench(step, background=True)
    done = []

    async def guarded(ctx):
        await bench(ctx)
        done.append(True)
    simulator.add_testbench(guarded)

    async def watchdog(ctx):
        for _ in range(limit):
            await ctx.tick()
        assert done, f"not finished in {limit} clocks"
    simulator.add_testbench(watchdog, background=True)
    simulator.run()
    assert done


async def drained(ctx, *masters: AxiMaster) -> None:
    """Waits until every master has all its answers."""
    while not all(master.idle for master in masters):
        await ctx.tick()
