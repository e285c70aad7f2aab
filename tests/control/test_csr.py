"""ControlRegisters: AXI4-Lite in any order, register semantics, completions, interrupt, exact counters."""

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.counters import READ_CYCLES, events_layout
from spatten_hw.control.csr import ControlRegisters, completion_layout
from spatten_hw.control.job_reader import push_layout
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.interface.registers import COUNTERS, ID, counter_offset, register_map, registers
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, max_tokens=16, sram_tokens=16, max_heads=4,
                     max_group=2, slots=2, topk_lanes=4, channels=2, axi_data_bits=64, job_queue=2)
CONFIGS = {"tiny": TINY, "wide": TINY.replace(axi_data_bits=256, axi_addr_bits=40, channels=4, job_queue=5)}
OKAY, SLVERR = 0, 2


class Master:
    """AXI4-Lite master over a bench; every channel of every transfer waits a random number of cycles."""

    def __init__(self, dut, config, slow):
        self.dut, self.c, self.slow = dut, config, slow
        self.bench = Bench(dut, ["completion"], ["push"])
        self.rng = self.bench.rng
        self.map = register_map(config)
        self.events = {name: 0 for name, _ in events_layout(config)}
        self.totals = {k.name: 0 for k in COUNTERS}
        self.counting = False

    async def begin(self):
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready", "awaddr", "wdata", "wstrb", "araddr"):
            getattr(self.dut, f"axil__{name}").value = 0
        self.dut.events.value = 0
        self.dut.busy.value = 0
        for name in ("queue_level", "working", "oldest", "activity", "tags"):
            getattr(self.dut, name).value = 0
        await self.bench.start()

    def sig(self, name):
        return getattr(self.dut, f"axil__{name}")

    async def step(self, watch=None):
        """One cycle, with random events if counting."""
        if self.counting:
            layout = events_layout(self.c)
            events = {n: self.rng.choice([0, (1 << f.width) - 1, self.rng.getrandbits(f.width)]) for n, f in layout}
            busy = self.rng.getrandbits(1)
            self.dut.events.value = pack(layout, events)
            self.dut.busy.value = busy
            for n, v in (events | {"cycles": busy}).items():
                self.totals[n] += v
        await self.bench.step(watch)

    async def transact(self, write=None, read=None, limit=400):
        """`write`: (offset, data, strobe), `read`: offset, or None. Returns (bresp, (rresp, rdata))."""
        delay = {k: self.rng.randrange(self.slow + 1) for k in ("aw", "w", "b", "ar", "r")}
        pending = ({"aw", "w", "b"} if write else set()) | ({"ar", "r"} if read is not None else set())
        if write:
            self.sig("awaddr").value, self.sig("wdata").value, self.sig("wstrb").value = write
        if read is not None:
            self.sig("araddr").value = read
        result = {"b": None, "r": None}
        cycle = 0
        while pending:
            done = set()
            for k, v in (("aw", "awvalid"), ("w", "wvalid"), ("ar", "arvalid"), ("b", "bready"), ("r", "rready")):
                self.sig(v).value = int(k in pending and cycle >= delay[k])

            def watch(done=done, pending=pending):
                for k, v, r in (("aw", "awvalid", "awready"), ("w", "wvalid", "wready"), ("ar", "arvalid", "arready"),
                                ("b", "bvalid", "bready"), ("r", "rvalid", "rready")):
                    if int(self.sig(v).value) and k not in pending:
                        raise AssertionError(f"{v} without a request")
                    if int(self.sig(v).value) and int(self.sig(r).value):
                        done.add(k)
                if int(self.sig("bvalid").value):
                    assert not {"aw", "w"} & (pending - done), "answer before address and data"
                    result["b"] = int(self.sig("bresp").value)
                if int(self.sig("rvalid").value):
                    answer = (int(self.sig("rresp").value), int(self.sig("rdata").value))
                    assert result["r"] in (None, answer), "answer changed while waiting"
                    result["r"] = answer

            await self.step(watch)
            pending -= done
            # What has been taken may change: AXI holds a channel's lines only until then.
            for k, lines in (("aw", ("awaddr",)), ("w", ("wdata", "wstrb")), ("ar", ("araddr",))):
                if k in done:
                    for name in lines:
                        self.sig(name).value = self.rng.getrandbits(len(self.sig(name)))
            cycle += 1
            assert cycle < limit, f"no answer: {pending}"
        for v in ("awvalid", "wvalid", "arvalid", "bready", "rready"):
            self.sig(v).value = 0
        return result["b"], result["r"]

    async def read(self, name):
        _, (resp, value) = await self.transact(read=self.map[name].offset)
        assert resp == OKAY, name
        return value

    async def write(self, name, value, strobe=15):
        resp, _ = await self.transact(write=(self.map[name].offset, value, strobe))
        assert resp == OKAY, name

    async def complete(self, tag, error):
        source = self.bench.send("completion", [pack(completion_layout(), {"tag": tag, "error": error})])
        return source


async def master(dut, slow):
    m = Master(dut, CONFIGS[params()["config"]], slow)
    await m.begin()
    return m


@cocotb.test()
async def every_register_by_its_access(dut):
    m = await master(dut, 3)
    table = registers(m.c)
    assert await m.read("ID") == ID
    fixed = [r for r in table if r.access == "RO" and not r.name.endswith(("_LO", "_HI"))]
    for r in m.rng.sample(fixed, len(fixed)):
        before = await m.read(r.name)
        assert before == r.reset, r.name
        resp, _ = await m.transact(write=(r.offset, 0xFFFFFFFF, 15))
        assert resp == SLVERR and await m.read(r.name) == before, r.name
    mapped = {r.offset for r in table}
    for offset in [*m.rng.sample([o for o in range(0, 4096, 4) if o not in mapped], 20), 4092, max(mapped) + 4]:
        bresp, (rresp, _) = await m.transact(write=(offset, m.rng.getrandbits(32), 15), read=offset)
        assert (bresp, rresp) == (SLVERR, SLVERR), hex(offset)
    for name in ("JOB_PUSH", "COUNTER_CLEAR"):
        assert await m.read(name) == 0


@cocotb.test()
async def strobes_and_orders(dut):
    m = await master(dut, 5)
    model = {"IRQ_ENABLE": 0, "JOB_ADDR_LO": 0, "JOB_ADDR_HI": 0, "JOB_LIMIT": 0}
    for _ in range(120):
        name, other = m.rng.choice(list(model)), m.rng.choice(list(model))
        value, strobe = m.rng.getrandbits(32), m.rng.getrandbits(4)
        bresp, _ = await m.transact(write=(m.map[name].offset, value, strobe))
        mask = sum(0xFF << 8 * b for b in range(4) if strobe >> b & 1) & m.map[name].mask
        model[name] = (model[name] & ~mask) | (value & mask)
        assert bresp == OKAY and await m.read(other) == model[other]
    _, (resp, value) = await m.transact(write=(m.map["IRQ_ENABLE"].offset, 0, 15), read=m.map["JOB_ADDR_LO"].offset)
    assert (resp, value) == (OKAY, model["JOB_ADDR_LO"])


@cocotb.test()
async def an_answer_stays_while_the_next_write_comes(dut):
    """The next write's address and data are taken while an answer waits, and do not change it."""
    m = await master(dut, 0)
    known, unknown = m.map["IRQ_ENABLE"].offset, 4092
    wanted: list[int] = []

    def waits():
        assert int(m.sig("bvalid").value) and int(m.sig("bresp").value) == wanted[-1]

    for place in (known, unknown, known, known, unknown, unknown, known):
        m.sig("awaddr").value, m.sig("wdata").value, m.sig("wstrb").value = place, 0, 15
        m.sig("awvalid").value = m.sig("wvalid").value = 1
        await m.step(waits if wanted else None)
        m.sig("awvalid").value = m.sig("wvalid").value = 0
        if wanted:
            for _ in range(4):
                await m.step(waits)
            m.sig("bready").value = 1
            await m.step(waits)
            m.sig("bready").value = 0
        wanted.append(OKAY if place == known else SLVERR)
        await m.step()
        await m.step(waits)
        await m.step(waits)
    m.sig("bready").value = 1
    await m.step(waits)


@cocotb.test()
async def pushes_reach_the_queue_or_are_refused(dut):
    m = await master(dut, 2)
    c = m.c
    sink = m.bench.receive("push")
    expected = []
    for n in range(12):
        addr = m.rng.getrandbits(c.addr_bits) & ~7
        beyond = n % 4 == 3 and c.addr_bits < 64
        await m.write("JOB_ADDR_LO", addr & 0xFFFFFFFF)
        await m.write("JOB_ADDR_HI", addr >> 32 | (1 << 31 if beyond else 0))
        await m.write("JOB_PUSH", 1000 + n)
        expected.append({"addr": addr | beyond, "tag": 1000 + n})
        assert await m.read("STATUS") & 4 == 0
    assert [unpack(push_layout(c), p) for p in sink.items] == expected
    sink.stall = 1.0
    await m.write("JOB_PUSH", 7)
    assert await m.read("STATUS") & 4
    await m.write("JOB_PUSH", 8, strobe=0)
    sink.stall = 0.0
    assert len(sink.items) == len(expected), "refused, so it must not come later"
    dut.queue_level.value = 2
    await m.write("JOB_PUSH", 9)
    status = await m.read("STATUS")
    assert status & 4 == 0 and status >> 8 & 255 == 2 and status & 1
    assert len(sink.items) == len(expected) + 1
    # A job on its way to the reader counts among those that are queued.
    waited = 0
    for _ in range(40):
        sink.stall = 0.5
        await m.write("JOB_PUSH", 10)
        sink.stall = 1.0
        await m.step()
        waiting = int(dut.push__valid.value)
        waited += waiting
        assert await m.read("STATUS") >> 8 & 255 == 2 + waiting
        sink.stall = 0.0
        await m.step()
        await m.step()
    assert 0 < waited < 40


@cocotb.test()
async def completions_and_interrupt(dut):
    m = await master(dut, 1)
    c = m.c
    assert await m.read("COMPLETION") == 0
    done = [(m.rng.getrandbits(16), m.rng.choice([0, 0, m.rng.randrange(1, 256)])) for _ in range(c.job_queue + 6)]
    source = m.bench.send("completion", [pack(completion_layout(), {"tag": t, "error": e}) for t, e in done])
    for _ in range(20):
        await m.step()
    assert source.at == c.job_queue + 2, "back-pressure when full"
    assert await m.read("STATUS") >> 16 == (done[source.at - 1][1] << 8 | c.job_queue + 2)
    assert int(dut.irq.value) == 0
    for t, e in done:
        assert await m.read("COMPLETION") == (1 << 31 | e << 16 | t)
    assert await m.read("COMPLETION") == 0 and source.at == len(done)
    events = 1 | (2 if any(e for _, e in done) else 0)
    assert await m.read("IRQ_STATUS") == events
    await m.write("IRQ_ENABLE", 1)
    await m.step()
    assert int(dut.irq.value) == 1
    await m.write("IRQ_STATUS", 2)
    assert await m.read("IRQ_STATUS") == 1
    await m.write("IRQ_STATUS", 1)
    await m.step()
    assert int(dut.irq.value) == 0 and await m.read("IRQ_STATUS") == 0
    await m.complete(5, 64)
    await m.step()
    await m.step()
    assert await m.read("IRQ_STATUS") == 3 and await m.read("STATUS") >> 24 == 64
    assert int(dut.irq.value) == 1
    await m.write("IRQ_ENABLE", 0)
    await m.step()
    assert int(dut.irq.value) == 0


@cocotb.test()
async def a_job_that_takes_too_long(dut):
    """It ends either by itself or with TIMEOUT, once, whenever its completion comes; then nothing is taken any more."""
    m = await master(dut, 0)
    c = m.c
    outcomes = set()
    for limit in (5, 60, 300):
        for late in (-60, -3, *range(-1, 5), 40):
            if limit + late < 1:
                continue
            await m.bench.reset()
            await m.write("JOB_LIMIT", limit)
            await m.write("IRQ_ENABLE", 2)
            m.bench.receive("push")
            # A job that ends in time, and the next one behind it.
            dut.working.value, dut.oldest.value = 1, 77
            await m.step()
            await m.complete(77, 0)
            await m.step()
            dut.oldest.value = 78
            for _ in range(limit + late - 1):
                await m.step()
            source = await m.complete(78, 3)
            since = 0
            for _ in range(20):
                await m.step()
                since += source.at
                if since == 4:      # the job behind it ends at once
                    dut.working.value = 0
            ended = source.at == 1
            outcomes.add((ended, late))
            assert ended if late < 0 else not ended if late > 3 else True, (limit, late)
            for _ in range(2 * limit + 10):
                await m.step()
            assert source.at == ended
            assert int(dut.timed_out.value) == 1 - ended and int(dut.irq.value)
            code = 3 if ended else ErrorCode.TIMEOUT
            assert await m.read("COMPLETION") == 1 << 31 | 77
            assert await m.read("COMPLETION") == 1 << 31 | code << 16 | 78
            assert await m.read("COMPLETION") == 0 and await m.read("IRQ_STATUS") == 3
            await m.write("JOB_PUSH", 5)
            status = await m.read("STATUS")
            assert (status >> 2 & 1, status >> 3 & 1, status >> 24) == (1 - ended, 1 - ended, code)
            assert len(m.bench.sinks["push"].items) == ended
            dut.working.value = 0
            m.bench.send("completion", [])      # what was not taken is taken back
            m.bench.inputs["completion"].valid.value = 0
    assert {(True, -1), (False, 4)} <= outcomes
    # Without a limit, and while a completion waits for room, time does not matter.
    for limit in (0, 20):
        await m.bench.reset()
        await m.write("JOB_LIMIT", limit)
        count = c.job_queue + 3
        source = m.bench.send("completion", [pack(completion_layout(), {"tag": t, "error": 0}) for t in range(count)])
        dut.working.value = 1
        for _ in range(200):
            await m.step()
        assert source.at == count - 1 and not int(dut.timed_out.value)
        dut.working.value = 0
        assert [await m.read("COMPLETION") for _ in range(count)] == [1 << 31 | t for t in range(count)]
    # With no room the error waits, and is not lost.
    m.bench.send("completion", [pack(completion_layout(), {"tag": t, "error": 0}) for t in range(count - 1)])
    for _ in range(20):
        await m.step()
    dut.working.value, dut.oldest.value = 1, 99
    for _ in range(60):
        await m.step()
    assert int(dut.timed_out.value) and await m.read("STATUS") >> 24 == 0
    assert [await m.read("COMPLETION") for _ in range(count - 1)] == [1 << 31 | t for t in range(count - 1)]
    assert await m.read("COMPLETION") == 1 << 31 | ErrorCode.TIMEOUT << 16 | 99
    assert await m.read("COMPLETION") == 0


@cocotb.test()
async def activity_and_tags_are_shown(dut):
    m = await master(dut, 1)
    for _ in range(5):
        activity, tags = m.rng.getrandbits(32) & m.map["ACTIVITY"].mask, m.rng.getrandbits(32)
        dut.activity.value, dut.tags.value = activity, tags
        assert (await m.read("ACTIVITY"), await m.read("JOB_TAGS")) == (activity, tags)


@cocotb.test()
async def counters_are_exact(dut):
    m = await master(dut, 1)
    units = {k.name: m.c.beat_bytes if k.unit == "bytes" else 1 for k in COUNTERS}

    async def read_all():
        result = {}
        for k in COUNTERS:
            first = m.bench.cycle
            low = await m.read(f"{k.name.upper()}_LO")
            assert m.bench.cycle - first <= READ_CYCLES + 8
            result[k.name] = low | await m.read(f"{k.name.upper()}_HI") << 32
        return result

    assert set((await read_all()).values()) == {0}
    for round_ in range(3):
        m.counting = True
        for _ in range(m.rng.randrange(1, 300)):
            await m.step()
        before = dict(m.totals)
        running = await read_all()
        assert all(before[n] * units[n] <= running[n] <= m.totals[n] * units[n] for n in running)
        m.counting = False
        dut.events.value = 0
        dut.busy.value = 0
        assert await read_all() == {n: v * units[n] for n, v in m.totals.items()}
        if round_ == 1:
            m.counting = True       # events of just before the clear are not in the totals yet
            for _ in range(30):
                await m.step()
            m.counting = False
            dut.events.value = 0
            dut.busy.value = 0
            await m.write("COUNTER_CLEAR", 0)
            assert set((await read_all()).values()) == {0}
            m.totals = dict.fromkeys(m.totals, 0)
    # Whatever the adder is at when it is asked, it tells the counter that was meant.
    pair = [k.name for k in sorted(COUNTERS, key=lambda k: m.totals[k.name])][::len(COUNTERS) - 1]
    for wait in range(READ_CYCLES + 2):
        for name in pair:
            assert await m.read(f"{name.upper()}_LO") == m.totals[name] * units[name]
            for _ in range(wait):
                await m.step()
    await m.bench.reset()
    assert set((await read_all()).values()) == {0}
    _, (resp, _) = await m.transact(read=counter_offset(COUNTERS[-1].name) + 8)
    assert resp == SLVERR


@pytest.mark.parametrize("name", CONFIGS)
def test_control_registers(name):
    run_bench(ControlRegisters(CONFIGS[name]), __name__, params={"config": name})
