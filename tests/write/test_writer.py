"""Writer: every beat exactly once at its place, legal bursts, any slave behaviour, errors by kind, full rate."""

import random

import cocotb
import pytest

from spatten_hw.bus.axi import aw_layout, b_layout, w_layout
from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.axi_watch import watch_streams
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.layouts import out_beat
from spatten_hw.write.bursts import burst_beats
from spatten_hw.write.writer import MAX_OUTSTANDING, Writer

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, max_tokens=16, sram_tokens=16, max_heads=4, max_group=2,
                     slots=2, topk_lanes=4, channels=2, axi_data_bits=64)
CONFIGS = {
    "2x64": TINY,
    "1x32": TINY.replace(channels=1, axi_data_bits=32),
    "4x512": TINY.replace(channels=4, axi_data_bits=512, axi_addr_bits=20, pool_beats=16),
}
#: The fields of a beat as the layout of this build has them: one channel has no number.
FIELDS = ("data", "strobe", "addr", "channel", "kind", "last")


def beats_of(c, sections):
    names = [name for name in FIELDS if name != "channel" or c.channels > 1]
    return [pack(out_beat(c), {name: b[name] for name in names}) for s in sections for b in s]


def random_section(rng, c, kind, beats):
    """Beats of one row or state section: consecutive addresses, now and then the same word twice."""
    addr = rng.randrange((1 << c.axi_addr_bits) // c.beat_bytes - beats) * c.beat_bytes
    channel = rng.randrange(c.channels)
    section = []
    for b in range(beats):
        section.append({"data": rng.getrandbits(c.axi_data_bits), "strobe": rng.getrandbits(c.beat_bytes),
                        "addr": addr, "channel": channel, "kind": kind, "last": int(b == beats - 1)})
        if not (kind and rng.random() < 0.2):
            addr += c.beat_bytes
    return section


class Memory:
    """C AXI write slaves. `order`: who waits for whom: "any", "address first", "data first"; answers come in
    order of the bursts, `errors(id)` says with which response."""

    def __init__(self, bench, c, order="any", stall=0.0, errors=lambda kind: 0, answer=0.0):
        self.bench, self.c, self.order, self.stall, self.errors, self.answer = bench, c, order, stall, errors, answer
        self.aw = [bench.receive(f"aw__{n}", stall) for n in range(c.channels)]
        self.w = [bench.receive(f"w__{n}", stall) for n in range(c.channels)]
        self.b = [bench.send(f"b__{n}", [], answer) for n in range(c.channels)]
        self.seen = [0] * c.channels
        self.lasts = [0] * c.channels
        self.failed = [0, 0]

    def update(self):
        """Between two steps: answers finished bursts, sets who may go on."""
        c = self.c
        for n in range(c.channels):
            while self.seen[n] < len(self.w[n].items):
                self.lasts[n] += unpack(w_layout(c), self.w[n].items[self.seen[n]])["last"]
                self.seen[n] += 1
            answered = len(self.b[n].items)
            if answered < min(self.lasts[n], len(self.aw[n].items)):
                burst = unpack(aw_layout(c), self.aw[n].items[answered])
                resp = self.errors(burst["id"])
                self.failed[burst["id"]] |= resp != 0
                self.b[n].items.append(pack(b_layout(c), {"id": burst["id"], "resp": resp}))
            if self.order == "address first":
                self.w[n].stall = self.stall if len(self.aw[n].items) > self.lasts[n] else 1.0
            if self.order == "data first":
                self.aw[n].stall = self.stall if len(self.aw[n].items) < self.lasts[n] else 1.0

    def written(self):
        """(channel, addr, kind, data, strobe) of every beat, per channel in order; checks the bursts."""
        c = self.c
        result = []
        for n in range(c.channels):
            w = iter(unpack(w_layout(c), item) for item in self.w[n].items)
            for item in self.aw[n].items:
                burst = unpack(aw_layout(c), item)
                first, size = burst["addr"], (burst["len"] + 1) * c.beat_bytes
                assert first % c.beat_bytes == 0
                block = burst_beats(c) * c.beat_bytes
                assert first // block == (first + size - 1) // block, "burst leaves its block"
                for b in range(burst["len"] + 1):
                    beat = next(w)
                    assert beat["last"] == (b == burst["len"])
                    result.append((n, first + b * c.beat_bytes, burst["id"], beat["data"], beat["strb"]))
            assert next(w, None) is None
        return result


def make_bench(dut, c):
    ports = range(c.channels)
    bench = Bench(dut, ["rows", "state", *(f"b__{n}" for n in ports)],
                  [*(f"aw__{n}" for n in ports), *(f"w__{n}" for n in ports)])
    watch_streams(bench, c)
    return bench


async def transfer(dut, bench, c, memory, rows, state, feed, limit):
    """Sends sections of both kinds and runs until the writer is idle; returns the beats it counted."""
    counted = [0, 0]
    bench.send("rows", beats_of(c, rows), feed)
    bench.send("state", beats_of(c, state), feed)
    idle = [0]

    def watch():
        counted[0] += int(dut.beats_out.value)
        counted[1] += int(dut.beats_state.value)
        sources = (bench.sources["rows"], bench.sources["state"])
        idle[0] = int(dut.idle.value) and all(s.at == len(s.items) and not s.valid for s in sources)

    while not idle[0]:
        memory.update()
        await bench.step(watch)
        limit -= 1
        assert limit, bench.state()
    await bench.idle(4)
    assert int(dut.waits.value) == 0, "all is answered"
    return counted


def check(c, memory, rows, state, counted):
    sent = [b for s in [*rows, *state] for b in s]
    expected = [(b["channel"], b["addr"], b["kind"], b["data"], b["strobe"]) for b in sent]
    written = memory.written()
    assert sorted(written) == sorted(expected)
    assert counted == [sum(b["kind"] == k for b in sent) for k in (0, 1)]
    # Writes to one word keep their order (sections do not overlap in practice; within one they may).
    for place in {e[:3] for e in expected}:
        assert [e for e in written if e[:3] == place] == [e for e in expected if e[:3] == place]


@cocotb.test()
async def every_beat_once(dut):
    c = CONFIGS[params()["config"]]
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = make_bench(dut, c)
    dut.clear.value = 0
    await bench.start()
    for order in ("any", "address first", "data first"):
        for feed, stall, answer in ((0.0, 0.0, 0.0), (0.3, 0.5, 0.5), (0.0, 0.6, 0.9), (0.6, 0.0, 0.0)):
            memory = Memory(bench, c, order, stall, answer=answer)
            rows = [random_section(rng, c, 0, rng.choice([1, 2, 4, 8])) for _ in range(12)]
            state = [random_section(rng, c, 1, rng.choice([1, 3, 20])) for _ in range(3)]
            counted = await transfer(dut, bench, c, memory, rows, state, feed, 6000)
            check(c, memory, rows, state, counted)
            assert int(dut.error.value) == 0


@cocotb.test()
async def errors_are_kept_per_kind(dut):
    c = CONFIGS[params()["config"]]
    rng = random.Random(cocotb.RANDOM_SEED + 1)
    bench = make_bench(dut, c)
    dut.clear.value = 0
    await bench.start()
    for which in ((0,), (1,), (0, 1), ()):
        memory = Memory(bench, c, "any", 0.3, errors=lambda kind, w=which: rng.choice([2, 3]) if kind in w else 0)
        rows = [random_section(rng, c, 0, 4) for _ in range(4)]
        state = [random_section(rng, c, 1, 3) for _ in range(2)]
        await transfer(dut, bench, c, memory, rows, state, 0.2, 3000)
        assert int(dut.error.value) == sum(1 << k for k in which), "error must stand when idle does"
        await bench.idle(5)
        assert int(dut.error.value) == sum(1 << k for k in which)
        dut.clear.value = 1
        await bench.step()
        dut.clear.value = 0
        await bench.step()
        assert int(dut.error.value) == 0


@cocotb.test()
async def one_beat_per_cycle(dut):
    c = CONFIGS[params()["config"]]
    rng = random.Random(cocotb.RANDOM_SEED + 2)
    bench = make_bench(dut, c)
    dut.clear.value = 0
    await bench.start()
    for beats in (1, 3, 8):
        memory = Memory(bench, c)
        rows = [random_section(rng, c, 0, beats) for _ in range(120 // beats)]
        await transfer(dut, bench, c, memory, rows, [], 0.0, 400)
        source = bench.sources["rows"]
        assert source.cycles[-1] - source.cycles[0] == len(source.items) - 1
        block = burst_beats(c) * c.beat_bytes
        least = sum(1 + s[-1]["addr"] // block - s[0]["addr"] // block for s in rows)
        assert sum(len(s.items) for s in memory.aw) == least, "a row is cut at block borders only"


@cocotb.test()
async def as_many_bursts_wait_as_are_stated(dut):
    """A channel that never answers takes `MAX_OUTSTANDING` bursts; of which kind they are, `waits` says."""
    c = CONFIGS[params()["config"]]
    bench = make_bench(dut, c)
    dut.clear.value = 0
    await bench.start()
    for channel in range(c.channels):
        kind = channel % 2
        memory = Memory(bench, c)
        step = burst_beats(c) * c.beat_bytes                 # no two in a block
        sections = [[{"data": n, "strobe": (1 << c.beat_bytes) - 1, "kind": kind, "last": 1, "channel": channel,
                      "addr": n * step}] for n in range(MAX_OUTSTANDING + 6)]
        bench.send("state" if kind else "rows", beats_of(c, sections))
        bench.send("rows" if kind else "state", [])
        await bench.idle(4 * MAX_OUTSTANDING)
        assert [len(aw.items) for aw in memory.aw] == [MAX_OUTSTANDING * (n == channel) for n in range(c.channels)]
        assert int(dut.waits.value) == 1 << kind
        for _ in range(400):
            memory.update()
            await bench.step()
        assert len(memory.aw[channel].items) == len(sections) and int(dut.idle.value) and int(dut.waits.value) == 0


@cocotb.test()
async def a_stuck_channel_leaves_the_others(dut):
    """Beats for other channels pass while one channel's slave takes nothing; its own come when it does."""
    c = CONFIGS[params()["config"]]
    bench = make_bench(dut, c)
    dut.clear.value = 0
    await bench.start()
    memory = Memory(bench, c)
    memory.w[0].stall = memory.aw[0].stall = 1.0
    rows = [[{"data": n, "strobe": 1, "addr": n * c.beat_bytes, "channel": n % c.channels, "kind": 0, "last": 1}]
            for n in range(3 * c.channels)]
    bench.send("rows", beats_of(c, rows))
    for _ in range(60):
        memory.update()
        await bench.step()
    assert [len(memory.w[n].items) for n in range(c.channels)] == [0] + [3] * (c.channels - 1)
    memory.w[0].stall = memory.aw[0].stall = 0.0
    for _ in range(30):
        memory.update()
        await bench.step()
    assert len(memory.w[0].items) == 3 and int(dut.idle.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_writer(name):
    run_bench(Writer(CONFIGS[name]), __name__, params={"config": name})
