"""AXI4 memory to read from, behind the stream-typed channels of a component under test.

    bench = Bench(dut, inputs=[*axi_inputs(c)], outputs=[*axi_outputs(c)])
    await bench.start()
    memory = AxiMemory(bench, c, latency=(5, 40), stall=0.3)
    memory.data[0][100:108] = b"..."              # by channel, at local byte addresses
    await bench.run(done, limit=5000, watch=memory.tick)

Beats of different ids come in random order, interleaved, those of one id in order. Every address is checked: whole
beats, 1 … most_beats of them, not across 4 KB, id in range, at most two bursts per id, memory size. The streams' own
contract is checked by `Bench`, the rules of AXI, of this memory too, by `axi_watch.py`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spatten_hw.bus.axi import LEN_BITS, RESP_BITS
from spatten_hw.config import PAGE_BYTES, SpAttenConfig

from .streams import Bench

OKAY, SLVERR = 0, 2


def axi_inputs(c: SpAttenConfig) -> list[str]:
    """Names of the read channels that go into the component."""
    return [f"r__{ch}" for ch in range(c.channels)]


def axi_outputs(c: SpAttenConfig) -> list[str]:
    """Names of the read channels that come out of the component."""
    return [f"ar__{ch}" for ch in range(c.channels)]


@dataclass
class _Burst:
    addr: int       # channel-local
    id: int
    beats: int
    due: int        # cycle from which it may be answered
    at: int = 0     # beats answered


class AxiMemory:
    """Memory of `size` bytes on each AXI channel of `bench`; call `tick` once per cycle (`watch`).

    `latency`: least and most cycles from address to first beat. `stall`: probability per cycle and channel of
    not taking an address and of not sending a beat. `reorder`: answers out of order between ids and interleaves
    their beats. `error`: called with channel and address of each beat; true answers SLVERR.
    """

    def __init__(self, bench: Bench, config: SpAttenConfig, size: int = 1 << 16, *, latency: tuple[int, int] = (1, 1),
                 stall: float = 0.0, reorder: bool = True,
                 error: Callable[[int, int], bool] = lambda channel, addr: False):
        self.bench = bench
        self.config = config
        self.data = [bytearray(size) for _ in range(config.channels)]
        self.latency = latency
        self.stall = stall
        self.reorder = reorder
        self.error = error
        self.rng = random.Random(bench.rng.getrandbits(32))
        #: Beats sent.
        self.read_beats = 0
        self._reads = [_ReadChannel(self, ch) for ch in range(config.channels)]

    def tick(self) -> None:
        """Takes what arrived in this cycle, queues what may be sent in the next."""
        for reader in self._reads:
            reader.tick()

    def due(self) -> int:
        return self.bench.cycle + self.rng.randint(*self.latency)

    def check_burst(self, channel: int, addr: int, beats: int) -> None:
        c = self.config
        where = f"ar[{channel}] addr {addr:#x} beats {beats}"
        assert addr % c.beat_bytes == 0, f"{where}: not a multiple of the beat"
        assert 1 <= beats <= c.most_beats, f"{where}: more than the longest read"
        last = addr + beats * c.beat_bytes - 1
        assert addr // PAGE_BYTES == last // PAGE_BYTES, f"{where}: crosses 4 KB"
        assert last < len(self.data[channel]), f"{where}: outside the memory"


def _fields(bits: int, widths: Sequence[int]) -> list[int]:
    out = []
    for w in widths:
        out.append(bits & ((1 << w) - 1))
        bits >>= w
    return out


class _ReadChannel:
    def __init__(self, memory: AxiMemory, channel: int):
        self.memory, self.channel = memory, channel
        bench = memory.bench
        self.ar = bench.receive(f"ar__{channel}", stall=memory.stall)
        self.r = bench.send(f"r__{channel}", [], stall=memory.stall)
        self.taken = 0
        self.waiting: dict[int, deque[_Burst]] = {}

    def tick(self) -> None:
        m, c = self.memory, self.memory.config
        while self.taken < len(self.ar.items):
            addr, id_, length = _fields(self.ar.items[self.taken], (c.axi_addr_bits, c.id_bits, LEN_BITS))
            self.taken += 1
            m.check_burst(self.channel, addr, length + 1)
            assert id_ < c.reads, f"ar[{self.channel}]: id {id_} out of range"
            queue = self.waiting.setdefault(id_, deque())
            # An id is a read in flight: two bursts where it crosses a page.
            assert len(queue) < 2, f"ar[{self.channel}]: id {id_} is still in use"
            queue.append(_Burst(addr, id_, length + 1, m.due()))
        if len(self.r.items) - self.r.at < 2 and self.waiting:
            ready = [q[0] for q in self.waiting.values() if q[0].due <= m.bench.cycle]
            if ready:
                self._answer(m.rng.choice(ready) if m.reorder else ready[0])

    def _answer(self, burst: _Burst) -> None:
        m, c = self.memory, self.memory.config
        at = burst.addr + burst.at * c.beat_bytes
        burst.at += 1
        last = burst.at == burst.beats
        word = int.from_bytes(m.data[self.channel][at:at + c.beat_bytes], "little")
        resp = SLVERR if m.error(self.channel, at) else OKAY
        bits = word | burst.id << c.axi_data_bits
        bits |= resp << (c.axi_data_bits + c.id_bits) | last << (c.axi_data_bits + c.id_bits + RESP_BITS)
        self.r.items.append(bits)
        m.read_beats += 1
        if last:
            queue = self.waiting[burst.id]
            queue.popleft()
            if not queue:
                del self.waiting[burst.id]
