"""Reciprocal and sum of exponentials on their own, up to the longest vectors."""

import cocotb
import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.golden.numerics import round_shift
from spatten_hw.sim.golden.reciprocal import reciprocal
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.softmax.formats import sum_fraction
from spatten_hw.softmax.reciprocal import Reciprocal
from spatten_hw.softmax.rows import exp_row, inverse
from spatten_hw.softmax.sum import ExpSum

TINY = SpAttenConfig(multipliers=16, min_dim=4, max_dim=4, max_tokens=8, sram_tokens=8, max_heads=8, max_group=4,
                     slots=4)
CONFIGS = {"shortest": TINY, "longest": TINY.replace(max_tokens=65536, multipliers=32)}


@cocotb.test()
async def reciprocal_equals_golden(dut):
    """Random sums and every kind of edge, one per cycle, at the stated latency."""
    c = CONFIGS[params()["config"]]
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    rng, e = bench.rng, sum_fraction(c.max_tokens)
    most = c.max_tokens << e
    totals = [1 << e, most, (1 << e) + 1, most - 1]
    for k in range(c.max_tokens.bit_length() - 1):
        base = 1 << (e + k)
        step = base >> 16
        # Just below the next power of two t rounds up to 2^17; between two t there are ties.
        totals += [2 * base - 1, 2 * base - step // 2, 2 * base - step // 2 - 1, base + step // 2]
        totals += [base + (n + rng.getrandbits(1)) * step // 2 for n in rng.sample(range(1 << 16), 60)]
        totals += [rng.randint(base, 2 * base) for _ in range(60)]
    source = bench.send("i", totals)
    out = bench.receive("o")
    await bench.run(lambda: len(out.items) == len(totals), limit=len(totals) + 100)
    assert [c_ - Reciprocal.LATENCY for c_ in out.cycles] == source.cycles
    r, k = reciprocal(np.array(totals), e)
    layout = inverse(c)
    got = [unpack(layout, word) for word in out.items]
    assert got == [{"r": a, "k": b} for a, b in zip(r.tolist(), k.tolist(), strict=True)]


@cocotb.test()
async def sum_equals_golden(dut):
    """Vectors of mixed lengths without a gap; dead lanes hold garbage."""
    c = CONFIGS[params()["config"]]
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    rng, e = bench.rng, sum_fraction(c.max_tokens)
    rows, want, last_rows = [], [], []
    for _ in range(120):
        n = rng.choice([1, c.max_tokens if c.max_tokens < 100 else 300, rng.randint(1, 40)])
        n = min(n, c.max_tokens)
        ones = rng.random() < 0.2
        m = [1 << 16 if ones else rng.randint((1 << 15) + 1, 1 << 16) for _ in range(n)]
        i = [0 if ones else rng.choice([0, 1, rng.randrange(32)]) for _ in range(n)]
        want.append(int(round_shift(np.array(m) << (e - 16), i).sum()))
        for at in range(0, n, c.lanes):
            pad = c.lanes - len(m[at:at + c.lanes])
            rows.append(pack(exp_row(c), {
                "m": m[at:at + c.lanes] + [rng.getrandbits(17) for _ in range(pad)],
                "i": i[at:at + c.lanes] + [rng.randrange(32) for _ in range(pad)],
                "info": {"count": c.lanes - pad, "first": int(at == 0), "last": int(at + c.lanes >= n)},
            }))
        last_rows.append(len(rows) - 1)
    source = bench.send("i", rows)
    out = bench.receive("o")
    await bench.run(lambda: len(out.items) == len(want), limit=len(rows) + 100)
    assert out.items == want
    assert source.cycles[-1] - source.cycles[0] == len(rows) - 1
    assert out.cycles == [source.cycles[n] + ExpSum(c).latency for n in last_rows]


@pytest.mark.parametrize("config", CONFIGS)
def test_reciprocal(config):
    run_bench(Reciprocal(CONFIGS[config]), __name__, params={"config": config}, testcase="reciprocal_equals_golden")


@pytest.mark.parametrize("config", CONFIGS)
def test_sum(config):
    run_bench(ExpSum(CONFIGS[config]), __name__, params={"config": config}, testcase="sum_equals_golden")
