"""Register stages, fork and arbiter: no loss, right order, full rate, fairness."""

import cocotb
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.arbiter import RoundRobin
from spatten_hw.stream.fork import StreamFork
from spatten_hw.stream.skid import HalfBuffer, SkidBuffer, SpareBuffer


async def _streams(dut, out_stall, in_stall):
    names = params()["outputs"]
    bench = Bench(dut, ["i"], names)
    await bench.start()
    items = [bench.rng.getrandbits(8) for _ in range(200)]
    source = bench.send("i", items, stall=in_stall)
    sinks = [bench.receive(n, stall=out_stall) for n in names]
    await bench.run(lambda: all(len(s.items) >= len(items) for s in sinks), limit=6000)
    await bench.idle(10)
    assert all(s.items == items for s in sinks)
    return source, sinks


@cocotb.test()
async def keeps_order_under_stalls(dut):
    await _streams(dut, 0.5, 0.3)
    await _streams(dut, 0.2, 0.0)


@cocotb.test()
async def full_rate(dut):
    source, sinks = await _streams(dut, 0.0, 0.0)
    assert source.cycles[-1] - source.cycles[0] == 199
    for s in sinks:
        assert s.cycles[-1] - s.cycles[0] == 199
        assert s.cycles[0] - source.cycles[0] == params()["latency"]


@cocotb.test()
async def half_rate(dut):
    source, sinks = await _streams(dut, 0.0, 0.0)
    assert source.cycles[-1] - source.cycles[0] == 2 * 199
    assert sinks[0].cycles[0] - source.cycles[0] == HalfBuffer.LATENCY


@cocotb.test()
async def round_robin(dut):
    n = params()["n"]
    bench = Bench(dut)
    dut.requests.value = 0
    dut.advance.value = 0
    await bench.start()
    last, waiting = n - 1, [0] * n
    for _ in range(400):
        requests, advance = bench.rng.getrandbits(n), bench.rng.getrandbits(1)
        dut.requests.value = requests
        dut.advance.value = advance
        await ReadOnly()
        order = [(last + 1 + j) % n for j in range(n)]
        expect = next((j for j in order if requests >> j & 1), None)
        assert int(dut.grant.value) == (0 if expect is None else 1 << expect)
        assert int(dut.any.value) == (expect is not None)
        assert int(dut.index.value) == (expect or 0)
        if advance and expect is not None:
            last = expect
            waiting = [w + 1 if requests >> j & 1 and j != expect else 0 for j, w in enumerate(waiting)]
            assert max(waiting) < n
        await FallingEdge(dut.clk)


STREAM_TESTS = ["keeps_order_under_stalls", "full_rate"]


def test_skid():
    run_bench(SkidBuffer(8), __name__, testcase=STREAM_TESTS,
              params={"outputs": ["o"], "latency": SkidBuffer.LATENCY})


def test_spare():
    run_bench(SpareBuffer(8), __name__, testcase=STREAM_TESTS, params={"outputs": ["o"], "latency": 0})


def test_half():
    run_bench(HalfBuffer(8), __name__, testcase=["keeps_order_under_stalls", "half_rate"], params={"outputs": ["o"]})


@pytest.mark.parametrize("n", [1, 3])
def test_fork(n):
    run_bench(StreamFork(8, n), __name__, testcase=STREAM_TESTS,
              params={"outputs": [f"o{j}" for j in range(n)], "latency": 0})


@pytest.mark.parametrize("n", [1, 2, 5])
def test_round_robin(n):
    run_bench(RoundRobin(n), __name__, testcase="round_robin", params={"n": n})
