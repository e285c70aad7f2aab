"""The quick-select engine: exactly the golden selection under stalls; its rate and worst case without."""

import json
import os
import random
from itertools import pairwise
from pathlib import Path

import cocotb
import pytest

from spatten_hw.engines import topk_engine
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.topk.quickselect import QuickSelect
from spatten_hw.topk.threshold_search import ThresholdSearch

from .rows import RowFormat, collect, kept, shapes_of_keys, vector_rows


def _form() -> RowFormat:
    p = params()
    return RowFormat(p["lanes"], p["key"], p["payload"], p["tag"], p["max_n"].bit_length())


async def _check(dut, vectors, stall_in=0.0, stall_out=0.0, limit=200_000):
    """`vectors`: (keys, k). Sends them back to back with running tags, compares with the golden model."""
    form = _form()
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    rows, expected = [], []
    for number, (keys, k) in enumerate(vectors):
        payloads = [bench.rng.getrandbits(form.payload) for _ in keys]
        tag = number % (1 << form.tag)
        rows += vector_rows(form, keys, payloads, k, tag)
        expected.append((*kept(keys, payloads, k), tag))
    source = bench.send("i", rows, stall=stall_in)
    out = bench.receive("o", stall=stall_out)
    total = sum(-(-len(e[0]) // form.lanes) for e in expected)
    await bench.run(lambda: len(out.items) >= total, limit=limit)
    await bench.idle(40)
    got = collect(form, out.items)
    assert len(got) == len(expected)
    for number, (g, e) in enumerate(zip(got, expected, strict=True)):
        assert g == e, f"vector {number} (n={len(vectors[number][0])}, k={vectors[number][1]}): {g} != {e}"
    ends = [c for c, w in zip(out.cycles, out.items, strict=True) if form.unpack(w)["last"]]
    return source, ends


def _vectors(rng, p, sizes):
    vectors = []
    for n in sizes:
        for keys in shapes_of_keys(rng, n, p["key"]):
            vectors.append((keys, rng.choice([1, n, min(n + 3, 2 * p["max_n"] - 1), max(1, n // 2),
                                              rng.randrange(1, n + 1)])))
    return [(keys, min(k, (1 << p["max_n"].bit_length()) - 1)) for keys, k in vectors]


@cocotb.test()
async def selects_under_stalls(dut):
    p = params()
    rng = Bench(dut).rng
    lanes, top = p["lanes"], p["max_n"]
    sizes = {1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes, 3 * lanes + 2, top - 1, top, rng.randrange(1, top + 1)}
    vectors = _vectors(rng, p, [n for n in sizes if 1 <= n <= top])
    rng.shuffle(vectors)
    await _check(dut, vectors, 0.3, 0.3)
    await _check(dut, vectors, 0.0, 0.7)
    await _check(dut, vectors[:20], 0.8, 0.0)


@cocotb.test()
async def every_k_of_a_small_vector(dut):
    p = params()
    rng = Bench(dut).rng
    n = min(p["max_n"], 2 * p["lanes"] + 1)
    keys = [rng.getrandbits(min(3, p["key"])) for _ in range(n)]
    await _check(dut, [(keys, k) for k in range(1, n + 1)])


@cocotb.test()
async def keeping_all_runs_at_full_rate(dut):
    """k ≥ n: one row per cycle in and out, over many vectors, even of one row."""
    p = params()
    rng = Bench(dut).rng
    sizes = [min(p["max_n"], s) for s in (1, 2 * p["lanes"], p["max_n"], 1, 1, 1, p["lanes"])] * 6
    source, _ = await _check(dut, [([rng.getrandbits(p["key"]) for _ in range(n)], n) for n in sizes])
    assert source.cycles[-1] - source.cycles[0] == len(source.cycles) - 1


@cocotb.test()
async def keeping_all_with_one_waiting(dut):
    """k ≥ n with one vector waiting: vectors of one row in at most three cycles each."""
    p = params()
    rng = Bench(dut).rng
    source, _ = await _check(dut, [([rng.getrandbits(p["key"])], 1) for _ in range(30)])
    assert source.cycles[-1] - source.cycles[0] <= 3 * 29


@cocotb.test()
async def worst_case_is_bounded(dut):
    """No kind of input takes longer than stated: time from output to output while the input never waits."""
    p = params()
    rng = Bench(dut).rng
    n = p["max_n"]
    vectors = [(keys, k) for keys in shapes_of_keys(rng, n, p["key"]) for k in (1, max(1, n // 2), max(1, n - 1))]
    # Keys 2^b: every middle of the range throws away half of the range and next to none of the keys.
    steep = [1 << (i % p["key"]) for i in range(n)]
    vectors += [(steep, max(1, n - 1)), (sorted(steep), max(1, n // 2))]
    _, ends = await _check(dut, vectors)
    gaps = [b - a for a, b in pairwise(ends)]
    assert max(gaps) <= p["bound"] + p["rows"] + 12, f"{max(gaps)} cycles, bound {p['bound']}"


@cocotb.test()
async def average_rate(dut):
    """Back-to-back random vectors: cycles per vector stay below what the configuration is meant for."""
    p = params()
    rng = Bench(dut).rng
    results = {}
    for n, k, most in p["rates"]:
        vectors = [([rng.getrandbits(p["key"]) for _ in range(n)], k) for _ in range(40)]
        _, ends = await _check(dut, vectors)
        results[f"{n},{k}"] = cycles = (ends[-1] - ends[3]) / (len(ends) - 4)
        dut._log.info(f"n={n} k={k}: {cycles:.1f} cycles per vector")
        assert cycles <= most, f"n={n} k={k}: {cycles} cycles per vector, meant to be {most}"
    if "RATES" in os.environ:
        Path(os.environ["RATES"]).write_text(json.dumps(results))


FUNCTION = ["selects_under_stalls", "every_k_of_a_small_vector", "keeping_all_runs_at_full_rate",
            "worst_case_is_bounded"]


def _run(testcase, key, payload, tag, lanes, max_n, waiting=None, **more):
    sizes = key, payload, tag, lanes, max_n
    engine = topk_engine("quickselect", *sizes) if waiting is None else QuickSelect(*sizes, waiting)
    assert isinstance(engine, QuickSelect)
    run_bench(engine, __name__, testcase=testcase, params={
        "key": key, "payload": payload, "tag": tag, "lanes": lanes, "max_n": max_n,
        "bound": engine.worst_case_cycles(max_n), "rows": engine.max_rows, **more})


@pytest.mark.parametrize("key,payload,tag,lanes,max_n", [
    (12, 10, 5, 4, 40), (3, 4, 3, 2, 17), (40, 7, 4, 4, 33), (5, 6, 2, 1, 9), (12, 3, 2, 5, 4), (4, 4, 1, 3, 20),
    (1, 3, 1, 2, 6)])
def test_selection(key, payload, tag, lanes, max_n):
    _run(FUNCTION, key, payload, tag, lanes, max_n)


@pytest.mark.parametrize("lanes,max_n", [(4, 33), (2, 17), (1, 9)])
def test_one_vector_waiting(lanes, max_n):
    """As the cascade has it: the same selection, a vector of one row in three cycles."""
    _run([*FUNCTION[:2], "keeping_all_with_one_waiting", FUNCTION[3]], 34, 9, 1, lanes, max_n, waiting=1)


def test_rate_of_the_papers_engine():
    _run(["selects_under_stalls", "worst_case_is_bounded", "average_rate"], 12, 10, 5, 16, 1024,
         rates=[(1024, 512, 200), (307, 92, 95), (204, 41, 75), (102, 20, 60)])


def test_unknown_engine():
    with pytest.raises(ValueError, match="quickselect"):
        topk_engine("bubblesort", 12, 10, 5, 4, 16)


@cocotb.test()
async def by_middles_alone(dut):
    """Every pivot is the middle of what is left of the range: each halves it, and any key is found."""
    p = params()
    rng = Bench(dut).rng
    n, top = p["max_n"], (1 << p["key"]) - 1
    vectors = [([x] * n, n // 2) for x in (0, 1, 2, top - 1, top)]
    vectors += [([rng.choice([0, 1, top, rng.getrandbits(p["key"])]) for _ in range(n)], rng.randrange(1, n))
                for _ in range(40)]
    _, ends = await _check(dut, vectors, limit=60_000)
    most = (p["key"] + 1) * (p["rows"] + p["pass"]) + p["rows"] + p["lanes"] + 20
    assert max(b - a for a, b in pairwise(ends)) <= most


@pytest.mark.parametrize("key,lanes,max_n", [(6, 4, 24), (3, 2, 12)])
def test_middles_alone_find_every_key(key, lanes, max_n, monkeypatch):
    """As after `random_passes` unlucky samples, which no test can wait for."""
    before = ThresholdSearch.__init__

    def without_samples(self, *args):
        before(self, *args)
        self.random_passes = 0
    monkeypatch.setattr(ThresholdSearch, "__init__", without_samples)
    engine = QuickSelect(key, 4, 2, lanes, max_n)
    run_bench(engine, __name__, testcase="by_middles_alone", params={
        "key": key, "payload": 4, "tag": 2, "lanes": lanes, "max_n": max_n, "rows": engine.max_rows,
        "pass": engine._selector.pass_cycles})


#: Cycles for 60 random vectors of n = 100, 10-bit keys, P = 8: any change of how pivots are chosen changes them.
CYCLES_OF_60 = {20: 2940, 50: 3267}


@cocotb.test()
async def takes_as_many_cycles_as_ever(dut):
    """Selection is right whatever the pivots are; only the time tells whether they are chosen as they should be."""
    p = params()
    rng = random.Random("pivots")
    for k, want in CYCLES_OF_60.items():
        _, ends = await _check(dut, [([rng.getrandbits(p["key"]) for _ in range(100)], k) for _ in range(60)])
        assert ends[-1] - ends[0] == want, f"k={k}: {ends[-1] - ends[0]} cycles"


def test_pivots_are_chosen_as_they_were():
    _run("takes_as_many_cycles_as_ever", 10, 7, 3, 8, 128)
