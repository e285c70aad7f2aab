"""LowLatencyFifo: order under stalls at any fill, one cycle from empty, one payload per cycle whatever it holds."""

import cocotb
import pytest
from amaranth import unsigned

from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.low_latency_fifo import LowLatencyFifo


@cocotb.test()
async def order(dut):
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    for stall_in, stall_out in ((0.5, 0.5), (0.0, 0.7), (0.7, 0.0), (0.1, 0.1), (0.0, 0.0)):
        words = [bench.rng.getrandbits(8) for _ in range(300)]
        source = bench.send("i", words, stall_in)
        out = bench.receive("o", stall_out)
        await bench.run(lambda out=out: len(out.items) >= 300, limit=3000)
        await bench.idle(5)
        assert out.items == words
    # From empty at full rate: every payload one cycle later.
    assert out.cycles == [c + LowLatencyFifo.LATENCY for c in source.cycles]


@cocotb.test()
async def full_rate_behind_a_pause(dut):
    """The reader pauses `fill` cycles: then payloads come at full rate, `fill` cycles later than they might."""
    depth = params()["depth"]
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    for fill in range(depth + 3):
        source = bench.send("i", list(range(100)))
        out = bench.receive("o", 1.0)
        for _ in range(1 + fill):
            await bench.step()
        out.stall = 0.0
        await bench.run(lambda out=out: len(out.items) >= 100, limit=300)
        assert out.items == list(range(100))
        assert out.cycles == [source.cycles[0] + 1 + fill + i for i in range(100)]
        if fill <= depth:
            assert source.cycles[-1] - source.cycles[0] == 99, f"input stopped, fill {fill}"


@pytest.mark.parametrize("depth", [3, 8, 13])
def test_low_latency_fifo(depth):
    run_bench(LowLatencyFifo(unsigned(8), depth), __name__, params={"depth": depth})


def test_least_depth():
    with pytest.raises(ValueError, match="depth must be at least 3"):
        LowLatencyFifo(unsigned(8), 2)
