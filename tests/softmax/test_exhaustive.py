"""Every fraction of 2^−y in every lane, and decisions around the threshold."""

import cocotb
import numpy as np

from spatten_hw.sim.golden.decision import flat, largest
from spatten_hw.sim.golden.exp2 import exp2
from spatten_hw.sim.golden.reciprocal import reciprocal
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import run_bench
from spatten_hw.softmax.decision import Decision
from spatten_hw.softmax.exp2 import Exp2
from spatten_hw.softmax.formats import INTEGER_BITS, Y_FRACTION, sum_fraction
from spatten_hw.softmax.rows import header, inverse, vector_info

from .test_arithmetic import TINY

THRESHOLD = 1000


def test_every_fraction_in_every_lane():
    """A bit of the table changes few results: all 2^14 fractions are tried, each lane in another order."""
    rng = np.random.default_rng(1)
    size, lanes = 1 << Y_FRACTION, TINY.lanes
    y = np.stack([rng.permutation(size) for _ in range(lanes)], axis=1)
    y += rng.integers(0, 1 << INTEGER_BITS, y.shape) << Y_FRACTION
    block = Block(Exp2, TINY)
    block.send("i", {"y": y, "info": {"count": lanes, "first": 1, "last": 1}})
    block.receive("o")
    block.run(size + 100, o=size)
    got = block.taken("o").columns()
    m, i = exp2(y)
    assert np.array_equal(got["m"], m) and np.array_equal(got["i"], i)


@cocotb.test()
async def around_the_threshold(dut):
    """max(P) one below, at and above the threshold: flat below it alone."""
    bench = Bench(dut, ["inverse", "info"], ["header", "flat", "free"])
    await bench.start()
    dut.threshold.value = THRESHOLD
    e = sum_fraction(TINY.max_tokens)
    totals = np.arange(1 << e, TINY.max_tokens << e, 61)
    r, k = reciprocal(totals, e)
    near = [n for n, p in enumerate(largest(r, k)) if abs(int(p) - THRESHOLD) <= 1]
    near = bench.rng.sample(near, min(60, len(near)))
    tops = largest(r[near], k[near])
    assert {int(p) - THRESHOLD for p in tops} == {-1, 0, 1}
    bench.send("info", [pack(vector_info(TINY), {"slot": 0, "may_refetch": 1}) for _ in near])
    bench.send("inverse", [pack(inverse(TINY), {"r": int(r[n]), "k": int(k[n])}) for n in near])
    headers, *_ = (bench.receive(name) for name in ("header", "flat", "free"))
    await bench.run(lambda: len(headers.items) == len(near), limit=500)
    dropped = [unpack(header(TINY), word)["drop"] for word in headers.items]
    assert dropped == flat(tops, THRESHOLD).astype(int).tolist()


def test_around_the_threshold():
    run_bench(Decision(TINY), __name__)
