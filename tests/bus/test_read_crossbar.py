"""Read crossbar: every burst gets its own data, from the right channel, in order, fairly and at full rate."""

import cocotb
import pytest

from spatten_hw.bus.read_crossbar import ReadCrossbar, burst_bits, response_banks
from spatten_hw.config import SpAttenConfig
from spatten_hw.host.layout import channel_of, logical_of
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.axi import AxiMemory, axi_inputs, axi_outputs
from spatten_hw.sim.testbench.axi_watch import watch_streams
from spatten_hw.sim.testbench.runner import params, run_bench

SIZE = 1 << 13
BASE = SpAttenConfig(
    name="tiny", multipliers=16, min_dim=8, max_dim=16, max_tokens=64, sram_tokens=32, max_heads=4, max_group=2,
    slots=2, topk_lanes=4, channels=2, axi_data_bits=32, interleave_bytes=16, k_ports=2, v_ports=2, ids_per_port=4)


class Requesters:
    """Keeps up to `ids_per_port` bursts outstanding per requester; checks every beat that comes back."""

    def __init__(self, dut, requests: int, addresses=None, *, stall=0.0, error=lambda addr: False, **memory):
        self.c = c = SpAttenConfig(**params()["config"])
        self.n = n = params()["requesters"]
        self.banks = response_banks(c)
        self.bench = Bench(
            dut, [*(f"req__{k}" for k in range(n)), *axi_inputs(c)],
            [*(f"rsp__{k}__{b}" for k in range(n) for b in range(self.banks)), *axi_outputs(c)])
        self.checkers = watch_streams(self.bench, c)
        self.error = error
        self.memory_options = {"error": error, **memory}
        self.stall = stall
        self.left = [requests] * n
        self.addresses = addresses
        self.active: list[dict[int, list[int]]] = [{} for _ in range(n)]   # burst → addresses still to come
        self.beats = 0

    async def start(self):
        bench = self.bench
        await bench.start()
        self.memory = AxiMemory(bench, self.c, SIZE, **self.memory_options)
        self.memory.data[:] = bench.rng.randbytes(SIZE)
        for k in range(self.n):
            bench.send(f"req__{k}", [], self.stall)
            for b in range(self.banks):
                bench.receive(f"rsp__{k}__{b}", self.stall)

    def tick(self):
        self.memory.tick()
        for k in range(self.n):
            self._check(k)
            source = self.bench.sources[f"req__{k}"]
            if self.left[k] and len(source.items) - source.at < 2:
                self._ask(k, source)

    def _ask(self, k, source):
        c, rng = self.c, self.bench.rng
        free = [b for b in range(c.ids_per_port) if b not in self.active[k]]
        if not free:
            return
        if self.addresses is None:
            granule = rng.randrange(SIZE // c.interleave_bytes)
            first = rng.randrange(c.granule_beats)
            beats = rng.randint(1, c.granule_beats - first)
        else:
            granule, first, beats = self.addresses(k, self.left[k]), 0, c.granule_beats
        addr = granule * c.interleave_bytes + first * c.beat_bytes
        burst = rng.choice(free)
        self.active[k][burst] = [addr + b * c.beat_bytes for b in range(beats)]
        self.left[k] -= 1
        source.items.append(addr | beats << c.addr_bits
                            | burst << (c.addr_bits + c.granule_beats.bit_length()))

    def _check(self, k):
        c = self.c
        for b in range(self.banks):
            sink = self.bench.sinks[f"rsp__{k}__{b}"]
            for item in sink.items:
                word = item & ((1 << c.axi_data_bits) - 1)
                rest = item >> c.axi_data_bits
                burst, last = rest & ((1 << burst_bits(c)) - 1), rest >> burst_bits(c) & 1
                waiting = self.active[k][burst]
                addr = waiting.pop(0)
                assert channel_of(addr, c)[0] % self.banks == b
                assert word == int.from_bytes(self.memory.data[addr:addr + c.beat_bytes], "little")
                assert last == (not waiting)
                assert rest >> (burst_bits(c) + 1) == self.error(addr)
                if last:
                    del self.active[k][burst]
                self.beats += 1
            sink.items.clear()
            sink.cycles.clear()

    async def run(self, limit):
        cycles = await self.bench.run(lambda: not any(self.left) and not any(self.active), limit, self.tick)
        assert any(checker.bursts for checker in self.checkers)
        return cycles


@cocotb.test()
async def random_bursts_under_stalls_and_disorder(dut):
    r = Requesters(dut, 80, stall=0.3, latency=(1, 20), error=lambda addr: addr % 56 == 0)
    r.memory_options["stall"] = 0.3
    await r.start()
    await r.run(20000)


@cocotb.test()
async def random_bursts_unstalled(dut):
    r = Requesters(dut, 80, latency=(1, 3))
    await r.start()
    await r.run(20000)


@cocotb.test()
async def every_channel_every_cycle(dut):
    """Whole granules, requester k walking the channels: no channel idles, with as many requesters as channels."""
    c = SpAttenConfig(**params()["config"])
    count = 150

    def walk(k: int, left: int) -> int:
        turn = k + count - left
        local = turn // c.channels * c.interleave_bytes % (SIZE // c.channels)
        return int(logical_of(turn % c.channels, local, c)) // c.interleave_bytes

    r = Requesters(dut, count, walk, reorder=False)
    await r.start()
    cycles = await r.run(20000)
    least = r.beats / c.channels
    assert cycles <= least * 1.05 + 15, (cycles, least)


@cocotb.test()
async def one_channel_is_shared_fairly(dut):
    """All want the same channel: nobody gets two turns more than another."""
    c = SpAttenConfig(**params()["config"])
    granules = [int(logical_of(0, n * c.interleave_bytes, c)) // c.interleave_bytes for n in range(8)]
    r = Requesters(dut, 1000, lambda k, left: granules[left % 8], reorder=False)
    await r.start()
    for _ in range(400):
        await r.bench.step(r.tick)
    done = [1000 - left for left in r.left]
    assert max(done) - min(done) <= 2, done
    assert r.beats >= 370


#: Of these, `every_channel_every_cycle` runs where there are as many requesters as channels, each with enough bursts
#: outstanding.
CASES = {
    "2 channels": (BASE, 3),
    "1 channel, 1 requester": (BASE.replace(channels=1), 1),
    "4 channels, beat = granule": (BASE.replace(channels=4, axi_data_bits=64, interleave_bytes=8, ids_per_port=16), 5),
    "16 channels in 8 banks": (BASE.replace(channels=16, interleave_bytes=8, ids_per_port=8), 3),
}


RATE = "every_channel_every_cycle"
AT_FULL_RATE = [case for case, (c, requesters) in CASES.items()
                if requesters >= c.channels and c.ids_per_port * c.granule_beats >= 16]
assert len(AT_FULL_RATE) >= 2


@pytest.mark.parametrize("case", CASES)
def test_read_crossbar(case):
    config, requesters = CASES[case]
    run_bench(ReadCrossbar(config, requesters), __name__, without=None if case in AT_FULL_RATE else RATE,
              params={"config": config.fields, "requesters": requesters})
