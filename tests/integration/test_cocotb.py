"""The whole accelerator at its pins under cocotb, against the AXI models of cocotbext-axi, bit for bit."""

import random

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiResp

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.host.driver import FILL, Driver
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import Workload, make_workload
from spatten_hw.interface.registers import COUNTERS, ID, counter_offset, register_map, registers
from spatten_hw.sim.engine import compare_pass, run_workload
from spatten_hw.sim.golden.integer_engine import run_golden
from spatten_hw.sim.testbench.pins import PinTransport
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.top import BURST_INCR, CACHE_NORMAL, PROT_DATA, Top

from .builds import LEAST, QUAD

#: Two slices, dimensions and channels: several of everything, quicker to compile than QUAD. A beat is
#: longer than an output row, so that writes have strobes.
PAIR = QUAD.replace(name="pair", multipliers=16, max_dim=16, max_tokens=32, sram_tokens=16, max_heads=4, max_group=2,
                    slots=2, topk_lanes=2, axi_data_bits=256)

#: Cycles of one coroutine, pauses included.
LIMIT = 60_000
#: Probability per cycle of every AXI channel.
PAUSE = 0.5


def build() -> SpAttenConfig:
    return SpAttenConfig(**params()["config"])


def cascade(config: SpAttenConfig, seed: int, queries: int | None = None) -> Workload:
    """Layers that prune tokens, heads and values, with LSBs fetched on demand; a prompt, or `queries` steps."""
    numbers = np.random.default_rng(seed)
    tokens, layers, heads, dim = 9, 3, 2, max(config.dims[0], config.max_dim // 2)
    rows = tokens if queries is None else queries
    arrays = {n: numbers.normal(size=(layers, heads, r, dim)) for n, r in (("q", rows), ("k", tokens), ("v", tokens))}
    start = tokens if queries is None else tokens - queries + 1
    msb = min(6, config.operand_bits - 4)
    return make_workload(arrays, {
        "stage": "summarise" if queries is None else "generate", "k_bits": [msb, 4], "v_bits": [msb, 4],
        "threshold": 0.3, "keep_tokens": [start - 2 * n for n in range(layers)], "keep_heads": [2, 2, 1],
        "keep_values": [start - 1, start - 3, 2], "q_bits": min(12, config.operand_bits),
    })


async def check(dut, queries: int | None, pause: float) -> None:
    """One workload, all results equal to the golden model's; LSBs were fetched and tokens pruned."""
    config = build()
    pins = await PinTransport.start(dut, config, pause=pause, cycle_limit=LIMIT)
    workload = cascade(config, cocotb.RANDOM_SEED, queries)
    result = await bridge(run_workload)(workload, config, "rtl", lambda _: pins, cycle_limit=LIMIT)
    assert result.bit_exact, f"SEED={cocotb.RANDOM_SEED}: {result.mismatches}"
    assert all(checker.bursts for checker in pins.checkers)
    check_padding(pins, Plan(workload, config))
    layers = result.outputs.layers
    assert sum(layer.refetched for layer in layers) > 0
    assert layers[-1].tokens < layers[0].tokens
    dut._log.info("bit exact, %s cycles of jobs, %d in all", result.cycles, pins.cycles)


def check_padding(pins: PinTransport, plan: Plan) -> None:
    """What lies between output rows is as the driver left it: write strobes are right."""
    for p in plan.passes:
        rows = p.out.rows(lambda *at: np.frombuffer(bytes(pins.mem_read(*at)), dtype=np.uint8), p.job.query_heads,
                          1 if p.job.generate else p.job.tokens)
        padding = rows[..., p.job.dim * OUT_BITS // 8:]
        assert np.all(padding == FILL), p.name
        assert padding.size or plan.config.beat_bytes <= 16


@cocotb.test()
async def control_port(dut):
    """ID, constants and stored words; SLVERR where nothing is and where nothing may be written."""
    config = build()
    pins = await PinTransport.start(dut, config, pause=PAUSE, cycle_limit=LIMIT)
    table = register_map(config)
    assert await pins.axil_read(table["ID"].offset) == (ID, AxiResp.OKAY)
    # The fetcher is busy for a moment after reset, and that is counted.
    assert await pins.axil_write(table["COUNTER_CLEAR"].offset, 1) == AxiResp.OKAY
    for r in registers(config):
        assert await pins.axil_read(r.offset) == (r.reset, AxiResp.OKAY), r.name
    unmapped = sorted(set(range(0, 1 << 12, 4)) - {r.offset for r in registers(config)})
    past = counter_offset(COUNTERS[-1].name) + 8
    for offset in [past, unmapped[-1], *random.Random(cocotb.RANDOM_SEED).sample(unmapped, 8)]:
        assert (await pins.axil_read(offset))[1] == AxiResp.SLVERR, hex(offset)
        assert await pins.axil_write(offset, 0xFFFF_FFFF) == AxiResp.SLVERR, hex(offset)
    for name in ("ID", "VERSION", "CONFIG_HASH", "STATUS", "COMPLETION", "SLICES", "CYCLES_LO", "CYCLES_HI"):
        r = table[name]
        assert await pins.axil_write(r.offset, ~r.reset & 0xFFFF_FFFF) == AxiResp.SLVERR, name
        assert await pins.axil_read(r.offset) == (r.reset, AxiResp.OKAY), name
    # Bytes on their own, at their own addresses.
    low = table["JOB_ADDR_LO"].offset
    assert await pins.axil_write(low, 0x1122_3344) == AxiResp.OKAY
    assert (await pins.axil.write(low + 2, b"\xaa")).resp == AxiResp.OKAY
    assert await pins.axil_read(low) == (0x11AA_3344, AxiResp.OKAY)
    # Many accesses in flight: answers in order, one each.
    names = ("ID", "CONFIG_HASH", "VERSION") * 4
    reads = [cocotb.start_soon(pins.axil_read(table[name].offset)) for name in names]
    for name, read in zip(names, reads, strict=True):
        assert await read == (table[name].reset, AxiResp.OKAY), name
    for c in range(config.channels):
        for address in ("aw", "ar"):
            constants = [int(getattr(dut, f"m_axi_{c}_{address}{n}").value) for n in ("size", "burst", "cache", "prot")]
            assert constants == [config.beat_bytes.bit_length() - 1, BURST_INCR, CACHE_NORMAL, PROT_DATA]
    assert not int(dut.irq.value)


@cocotb.test()
async def prompt(dut):
    """A prompt of three layers with pruning and progressive quantisation, every channel pausing at random."""
    await check(dut, None, PAUSE)


@cocotb.test()
async def generation(dut):
    """Two generation steps of three layers, every channel pausing at random."""
    await check(dut, 2, PAUSE)


@cocotb.test()
async def generation_without_pauses(dut):
    """The models as fast as they are."""
    await check(dut, 2, 0.0)


@cocotb.test()
async def resets_of_a_cycle_or_more(dut):
    """At random moments of a job: nothing is valid from the first cycle on, nothing comes behind, the next job is
    right."""
    config = build()
    rng = random.Random(cocotb.RANDOM_SEED)
    pins = await PinTransport.start(dut, config, pause=rng.choice((0.0, PAUSE)), cycle_limit=4 * LIMIT)
    plan = Plan(cascade(config, cocotb.RANDOM_SEED, 2), config)
    p, want = plan.passes[0], run_golden(plan).results[0]
    valids = [getattr(dut, f"m_axi_{c}_{name}valid") for c in range(config.channels) for name in ("ar", "aw", "w")]
    valids += [getattr(dut, f"s_axil_{name}valid") for name in ("r", "b")]

    def begin() -> Driver:
        driver = Driver(config, pins)
        driver.write(plan.layer_data(p.layer))
        driver.write(p.out.fill(p.job.query_heads, FILL))
        for tag in (1, 2):
            driver.submit(p.job, tag, p.descriptor)
        return driver

    def finish(driver: Driver) -> list[str]:
        assert [(done.tag, done.error) for done in (driver.wait(LIMIT), driver.wait(LIMIT))] == [(1, 0), (2, 0)]
        return compare_pass(driver._outcome(p, 0), want)

    start = pins.cycles
    assert not await bridge(finish)(await bridge(begin)())
    length = pins.cycles - start
    for n in range(10):
        where = f"SEED={cocotb.RANDOM_SEED}, reset {n}"
        await bridge(begin)()
        await ClockCycles(dut.clk, rng.randrange(1, length))
        dut.rst.value = 1
        width = rng.choice((1, 1, 2, 3))
        for cycle in range(width + 40):
            await FallingEdge(dut.clk)
            assert not any(int(v.value) for v in valids), f"{where}, cycle {cycle}"
            assert cycle == 0 or not int(dut.irq.value), f"{where}, cycle {cycle}"
            await RisingEdge(dut.clk)
            if cycle + 1 == width:
                dut.rst.value = 0
        if n % 3 == 2:
            assert not await bridge(finish)(await bridge(begin)()), where


@pytest.mark.parametrize("config", [pytest.param(LEAST, marks=pytest.mark.nightly), PAIR], ids=lambda c: c.name)
def test_at_the_pins(config):
    # Compiling takes longer than running, however little it optimises.
    run_bench(Top(config), __name__, top="spatten", params={"config": config.fields}, opt_fast="-O0")
