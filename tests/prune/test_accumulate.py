"""RowAccumulator: any order of rows, one per cycle, exact or saturating."""

import cocotb
import pytest

from spatten_hw.prune.accumulate import ADD_CYCLES, READ_CYCLES, RowAccumulator
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench

#: Rows added in a run.
ADDS = 600


def _lanes(values, width):
    return sum(v << (i * width) for i, v in enumerate(values))


@cocotb.test()
async def any_order_with_and_without_gaps(dut):
    p = params()
    bench = Bench(dut)
    for name in ("add", "scan", "write"):
        getattr(dut, name).value = 0
    await bench.start()
    rng = bench.rng
    want = [[0] * p["lanes"] for _ in range(p["depth"])]
    limit = (1 << p["total_bits"]) - 1
    # High enough for sums with every bit, low enough for those that must not overflow to stay.
    most = limit if p["saturate"] else limit - ADDS * ((1 << p["add_bits"]) - 1)
    for row in range(p["depth"]):
        total = rng.choice([most, rng.randrange(most + 1)])
        dut.write.value = 1
        dut.write_row.value = row
        dut.write_total.value = total
        await bench.step()
        want[row] = [total] * p["lanes"]
    dut.write.value = 0
    gaps = 0.0
    for i in range(ADDS):
        if i % 50 == 0:
            gaps = rng.choice([0.0, 0.0, 0.5])
            near = rng.randrange(p["depth"])
        dut.add.value = 0
        while rng.random() < gaps:
            await bench.step()
        row = near if rng.random() < 0.5 else rng.randrange(p["depth"])
        fresh = rng.random() < 0.02
        adds = [rng.getrandbits(p["add_bits"]) for _ in range(p["lanes"])]
        if p["saturate"] is False and i % 100 == 99:
            fresh = True
        dut.add.value = 1
        dut.add_row.value = row
        dut.add_fresh.value = int(fresh)
        dut.addends.value = _lanes(adds, p["add_bits"])
        want[row] = [min(limit, (0 if fresh else a) + b) for a, b in zip(want[row], adds, strict=True)]
        await bench.step()
    dut.add.value = 0
    for _ in range(ADD_CYCLES - 1):
        assert int(dut.idle.value) == 0
        await bench.step()
    assert int(dut.idle.value) == 1
    dut.scan.value = 1
    got = []
    for i in range(p["depth"] + READ_CYCLES):
        if i >= READ_CYCLES:
            got.append(int(dut.totals.value))
        dut.read_enable.value = 0
        if rng.random() < 0.5:
            await bench.step()
        dut.read_enable.value = 1
        dut.read_row.value = min(i, p["depth"] - 1)
        await bench.step()
    assert got == [_lanes(w, p["total_bits"]) for w in want]


@pytest.mark.parametrize("depth,lanes,saturate", [(1, 1, True), (5, 1, True), (8, 3, False)])
def test_accumulate(depth, lanes, saturate):
    total_bits = 9 if saturate else 16
    run_bench(RowAccumulator(depth, lanes, 6, total_bits, saturate=saturate), __name__,
              params={"depth": depth, "lanes": lanes, "add_bits": 6, "total_bits": total_bits,
                      "saturate": saturate})
