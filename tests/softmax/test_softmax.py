"""Softmax: bit for bit the golden model under stalls, gangs, replays; its timing to the cycle without stalls."""

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.softmax.normalise import Normalise
from spatten_hw.softmax.softmax import Softmax
from spatten_hw.softmax.vector_reader import VectorReader

from .vectors import Driver

#: Three head dimensions: rows of 4, 2 and 1 scores into memory rows of 4.
TINY = SpAttenConfig(multipliers=16, min_dim=4, max_dim=16, max_tokens=64, sram_tokens=8, max_heads=8, max_group=4,
                     slots=4, operand_bits=8)

CONFIGS = {
    "three_dims": TINY,
    "one_lane": TINY.replace(multipliers=4, max_dim=4, max_tokens=32, slots=2, max_group=2),
    "two_slots": TINY.replace(min_dim=8, max_tokens=8, slots=2, max_group=1),
    "one_row": TINY.replace(multipliers=32, max_dim=4, max_tokens=8, slots=8),
    "wide": TINY.replace(max_dim=8, max_tokens=512, slots=2, max_group=2, operand_bits=16),
    "many_slots": TINY.replace(multipliers=8, max_dim=8, slots=64, max_group=8),
}


def lengths(rng, c: SpAttenConfig, number: int) -> list[int]:
    top = min(c.max_tokens, 100)
    return [rng.choice([1, 2, c.lanes, top, rng.randint(1, top), rng.randint(1, min(top, 9))]) for _ in range(number)]


def gangs(driver: Driver, sizes: list[int], group: int, **kw) -> list[list]:
    """Vectors in gangs of up to `group` of the same length."""
    return [[driver.vector(n, **kw) for _ in range(driver.rng.randint(1, group))] for n in sizes]


async def bench_of(dut) -> Bench:
    bench = Bench(dut, ["meta", "i"], ["o", "flat", "free"])
    dut.job.value = 0
    dut.scale.value = 0
    await bench.start()
    return bench


@cocotb.test()
async def equals_golden_under_stalls(dut):
    c = CONFIGS[params()["config"]]
    bench = await bench_of(dut)
    for dim_log2 in range(len(c.dims)):
        for threshold in (0, 4096, 700):
            bench.receive("free")
            bench.receive("flat", stall=0.7)
            bench.receive("o", stall=bench.rng.choice([0.0, 0.3, 0.9]))
            driver = Driver(bench, c, {"dim_log2": dim_log2, "threshold": threshold}, shuffle=True)
            bench.sources["i"].stall = bench.rng.choice([0.0, 0.5])
            work = gangs(driver, lengths(bench.rng, c, 8 + 24 // c.max_group), c.max_group)
            await driver.run(work, limit=60_000)
            assert driver.flats or threshold != 4096
            assert not (driver.flats and threshold == 0)


@cocotb.test()
async def short_vectors_wait_for_a_slow_output(dut):
    """Vectors of one score, more than are counted inside: pass 2 begins none that has no place in front of pass 3."""
    c = CONFIGS[params()["config"]]
    bench = await bench_of(dut)
    for name in ("flat", "free"):
        bench.receive(name)
    bench.receive("o", stall=0.98)
    driver = Driver(bench, c, {"dim_log2": 0, "threshold": 0}, shuffle=False)
    await driver.run(gangs(driver, [1] * (2 * Softmax(c).vectors_inside), 1), limit=60_000)


@cocotb.test()
async def timing_without_stalls(dut):
    """Every probability row leaves in the cycle that three passes of 1 row per cycle allow."""
    c = CONFIGS[params()["config"]]
    bench = await bench_of(dut)
    softmax = Softmax(c)
    for dim_log2 in range(len(c.dims)):
        for sizes in (lengths(bench.rng, c, 40), [1] * 80, [min(c.max_tokens, 64)] * 6):
            out = bench.receive("o")
            bench.receive("flat")
            bench.receive("free")
            driver = Driver(bench, c, {"dim_log2": dim_log2, "threshold": 0}, shuffle=False)
            work = gangs(driver, sizes, 1)
            await driver.run(work, limit=60_000)
            want = []
            read_end = out_end = 0
            for cycle, rows, _ in driver.lengths_in:
                read = max(cycle + softmax.slots.latency + VectorReader.LOOKUP, read_end)
                read_end = read + rows
                start = max(read_end - 1 + softmax.pass_2, out_end)
                out_end = start + rows
                want += [start + r + Normalise.LATENCY for r in range(rows)]
            assert out.cycles == want
            first, rows, _ = driver.lengths_in[0]
            assert out.cycles[0] - first == softmax.latency(rows)
            if c.slots == 64:
                # Enough slots to keep pass 1 busy all the time: no idle cycle at the input.
                taken = bench.sources["i"].cycles
                assert taken[-1] - taken[0] == len(taken) - 1
                if set(sizes) == {1}:
                    assert out.cycles[-1] - out.cycles[0] == len(sizes) - 1


@cocotb.test()
async def reset_in_the_middle(dut):
    c = CONFIGS[params()["config"]]
    bench = await bench_of(dut)
    for name in ("o", "flat", "free"):
        bench.receive(name, stall=0.8 if name == "o" else 0)
    driver = Driver(bench, c, {"dim_log2": 0, "threshold": 2000}, shuffle=True)
    with pytest.raises(AssertionError, match="cycle limit"):
        await driver.run(gangs(driver, lengths(bench.rng, c, 40), 1), limit=90)
    for name, port in bench.inputs.items():
        bench.send(name, [])
        port.valid.value = 0
    await bench.reset()
    for name in ("o", "flat", "free"):
        bench.receive(name)
    driver = Driver(bench, c, {"dim_log2": 0, "threshold": 2000}, shuffle=True)
    await driver.run(gangs(driver, lengths(bench.rng, c, 10), 1), limit=10_000)


@pytest.mark.parametrize("config", CONFIGS)
def test_softmax(config):
    run_bench(Softmax(CONFIGS[config]), __name__, params={"config": config})
