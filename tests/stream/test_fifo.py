"""StreamFifo: order, no loss under stalls, full rate without."""

import cocotb
import pytest

from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.fifo import StreamFifo, fifo_latency


@cocotb.test()
async def keeps_order_under_stalls(dut):
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    items = [bench.rng.getrandbits(8) for _ in range(300)]
    bench.send("i", items, stall=0.4)
    out = bench.receive("o", stall=0.4)
    await bench.run(lambda: len(out.items) >= len(items), limit=3000)
    await bench.idle(20)
    assert out.items == items


@cocotb.test()
async def one_payload_per_cycle(dut):
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    source = bench.send("i", list(range(100)))
    out = bench.receive("o")
    await bench.run(lambda: len(out.items) >= 100, limit=400)
    # One register is empty or full: half the rate.
    interval = 2 if params()["depth"] == 1 else 1
    assert source.cycles == [source.cycles[0] + interval * i for i in range(100)]
    assert out.cycles == [c + fifo_latency(params()["depth"]) for c in source.cycles]


@pytest.mark.parametrize("depth, wide", [(1, 0), (2, 0), (5, 0), (64, 0), (2, 8), (3, 5), (12, 8)])
def test_fifo(depth, wide):
    run_bench(StreamFifo(8, depth, wide=wide), __name__, params={"depth": depth})
