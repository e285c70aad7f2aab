"""AXI4 memory behind the stream-typed channels of a component under test.

    bench = Bench(dut, inputs=[*axi_inputs(c)], outputs=[*axi_outputs(c)])
    await bench.start()
    memory = AxiMemory(bench, c, latency=(5, 40), stall=0.3)
    memory.data[100:108] = b"..."                 # logical byte addresses
    await bench.run(done, limit=5000, watch=memory.tick)

All channels share one logical memory through the interleaving of `spatten_hw/bus/interleave.py`. Beats of different
ids come in random order, interleaved, those of one id in order. Every address is checked: whole beats, 1 …
granule_beats of them, inside one interleave granule (so never across 4 KB), id in range, no more bursts per id
than allowed, memory size. The streams' own contract is checked by `Bench`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spatten_hw.bus.axi import LEN_BITS, RESP_BITS
from spatten_hw.config import SpAttenConfig
from spatten_hw.host.layout import logical_of

from .streams import Bench

OKAY, SLVERR = 0, 2


def axi_inputs(c: SpAttenConfig, read: bool = True, write: bool = False) -> list[str]:
    """Names of the channels that go into the component."""
    kinds = (["r"] if read else []) + (["b"] if write else [])
    return [f"{k}__{ch}" for k in kinds for ch in range(c.channels)]


def axi_outputs(c: SpAttenConfig, read: bool = True, write: bool = False) -> list[str]:
    """Names of the channels that come out of the component."""
    kinds = (["ar"] if read else []) + (["aw", "w"] if write else [])
    return [f"{k}__{ch}" for k in kinds for ch in range(c.channels)]


def logical_address(c: SpAttenConfig, channel: int, local: int) -> int:
    """Logical byte address of a channel-local one."""
    return int(logical_of(channel, local, c))


@dataclass
class _Burst:
    addr: int       # channel-local
    id: int
    beats: int
    due: int        # cycle from which it may be answered
    at: int = 0     # beats answered


class AxiMemory:
    """Memory of `size` logical bytes on every AXI channel of `bench`; call `tick` once per cycle (`watch`).

    `latency`: least and most cycles from address to first beat. `stall`: probability per cycle and channel of
    not taking an address (data) and of not sending a beat. `reorder`: answers out of order between ids and
    interleaves their beats. `error`: called with the logical address of each read beat or written burst; true
    answers SLVERR (a refused write changes nothing). `write_ids`: how many ids writers may use.
    """

    def __init__(self, bench: Bench, config: SpAttenConfig, size: int = 1 << 16, *, latency: tuple[int, int] = (1, 1),
                 stall: float = 0.0, reorder: bool = True, read: bool = True, write: bool = False,
                 error: Callable[[int], bool] = lambda addr: False, one_burst_per_id: bool = True,
                 write_ids: int | None = None):
        self.bench = bench
        self.config = config
        self.data = bytearray(size)
        self.latency = latency
        self.stall = stall
        self.reorder = reorder
        self.error = error
        self.one_burst_per_id = one_burst_per_id
        self.write_ids = 1 << config.id_bits if write_ids is None else write_ids
        self.rng = random.Random(bench.rng.getrandbits(32))
        #: Beats read, bursts read, and the logical address and strobe of every beat written, in order.
        self.read_beats = 0
        self.read_bursts = 0
        self.written: list[tuple[int, int]] = []
        channels = range(config.channels)
        self._reads = [_ReadChannel(self, ch) for ch in channels] if read else []
        self._writes = [_WriteChannel(self, ch) for ch in channels] if write else []

    @property
    def idle(self) -> bool:
        """No burst is waiting for data or an answer."""
        return all(r.idle for r in self._reads) and all(w.idle for w in self._writes)

    def tick(self) -> None:
        """Takes what arrived in this cycle, queues what may be sent in the next."""
        for reader in self._reads:
            reader.tick()
        for writer in self._writes:
            writer.tick()

    def due(self) -> int:
        return self.bench.cycle + self.rng.randint(*self.latency)

    def check_burst(self, channel: int, kind: str, addr: int, beats: int) -> None:
        c = self.config
        where = f"{kind}[{channel}] addr {addr:#x} beats {beats}"
        assert addr % c.beat_bytes == 0, f"{where}: not a multiple of the beat"
        assert 1 <= beats <= c.granule_beats, f"{where}: more than an interleave granule"
        last = addr + beats * c.beat_bytes - 1
        assert addr // c.interleave_bytes == last // c.interleave_bytes, f"{where}: crosses an interleave granule"
        assert addr // 4096 == last // 4096, f"{where}: crosses 4 KB"
        assert logical_address(c, channel, last) < len(self.data), f"{where}: outside the memory"


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

    @property
    def idle(self) -> bool:
        return not self.waiting and self.r.at == len(self.r.items)

    def tick(self) -> None:
        m, c = self.memory, self.memory.config
        while self.taken < len(self.ar.items):
            addr, id_, length = _fields(self.ar.items[self.taken], (c.axi_addr_bits, c.id_bits, LEN_BITS))
            self.taken += 1
            m.check_burst(self.channel, "ar", addr, length + 1)
            assert id_ < c.requesters * c.ids_per_port, f"ar[{self.channel}]: id {id_} out of range"
            queue = self.waiting.setdefault(id_, deque())
            # Ids number the bursts of a requester, so none may be used twice at a time (on any channel).
            busy = any(id_ in other.waiting and other.waiting[id_] for other in m._reads)
            assert not (m.one_burst_per_id and busy), f"ar[{self.channel}]: id {id_} is still in use"
            queue.append(_Burst(addr, id_, length + 1, m.due()))
            m.read_bursts += 1
        if len(self.r.items) - self.r.at < 2 and self.waiting:
            ready = [q[0] for q in self.waiting.values() if q[0].due <= m.bench.cycle]
            if ready:
                self._answer(m.rng.choice(ready) if m.reorder else ready[0])

    def _answer(self, burst: _Burst) -> None:
        m, c = self.memory, self.memory.config
        at = logical_address(c, self.channel, burst.addr + burst.at * c.beat_bytes)
        burst.at += 1
        last = burst.at == burst.beats
        word = int.from_bytes(m.data[at:at + c.beat_bytes], "little")
        resp = SLVERR if m.error(at) else OKAY
        bits = word | burst.id << c.axi_data_bits
        bits |= resp << (c.axi_data_bits + c.id_bits) | last << (c.axi_data_bits + c.id_bits + RESP_BITS)
        self.r.items.append(bits)
        m.read_beats += 1
        if last:
            queue = self.waiting[burst.id]
            queue.popleft()
            if not queue:
                del self.waiting[burst.id]


class _WriteChannel:
    def __init__(self, memory: AxiMemory, channel: int):
        self.memory, self.channel = memory, channel
        bench = memory.bench
        self.aw = bench.receive(f"aw__{channel}", stall=memory.stall)
        self.w = bench.receive(f"w__{channel}", stall=memory.stall)
        self.b = bench.send(f"b__{channel}", [], stall=memory.stall)
        self.bursts = self.beats = 0                     # taken from the two sinks
        self.filling: deque[_Burst] = deque()            # bursts whose data is not complete
        self.answers: list[tuple[int, int, int]] = []    # due, id, resp

    @property
    def idle(self) -> bool:
        return not self.filling and not self.answers and self.b.at == len(self.b.items)

    def tick(self) -> None:
        m, c = self.memory, self.memory.config
        while self.bursts < len(self.aw.items):
            addr, id_, length = _fields(self.aw.items[self.bursts], (c.axi_addr_bits, c.id_bits, LEN_BITS))
            self.bursts += 1
            m.check_burst(self.channel, "aw", addr, length + 1)
            assert id_ < m.write_ids, f"aw[{self.channel}]: id {id_} out of range"
            self.filling.append(_Burst(addr, id_, length + 1, 0))
        while self.filling and self.beats < len(self.w.items):
            word, strobe, last = _fields(self.w.items[self.beats], (c.axi_data_bits, c.beat_bytes, 1))
            self.beats += 1
            self._store(self.filling[0], word, strobe, last)
        if self.answers and len(self.b.items) - self.b.at < 2:
            self._answer()

    def _store(self, burst: _Burst, word: int, strobe: int, last: int) -> None:
        m, c = self.memory, self.memory.config
        at = logical_address(c, self.channel, burst.addr + burst.at * c.beat_bytes)
        refused = m.error(logical_address(c, self.channel, burst.addr))
        burst.at += 1
        assert last == (burst.at == burst.beats), f"w[{self.channel}]: last on beat {burst.at} of {burst.beats}"
        m.written.append((at, strobe))
        if not refused:
            for k, byte in enumerate(word.to_bytes(c.beat_bytes, "little")):
                if strobe >> k & 1:
                    m.data[at + k] = byte
        if last:
            self.filling.popleft()
            self.answers.append((m.due(), burst.id, SLVERR if refused else OKAY))

    def _answer(self) -> None:
        m, c = self.memory, self.memory.config
        seen: set[int] = set()
        ready = []
        for k, (due, id_, _) in enumerate(self.answers):    # the oldest of each id only
            if id_ not in seen and due <= m.bench.cycle:
                ready.append(k)
            seen.add(id_)
        if ready:
            _, id_, resp = self.answers.pop(m.rng.choice(ready) if m.reorder else ready[0])
            self.b.items.append(id_ | resp << c.id_bits)
