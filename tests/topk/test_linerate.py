"""The line-rate engine: the benches of the quick-select engine, then its rate and latency to the cycle."""

import json
import os
from itertools import pairwise
from pathlib import Path

import cocotb
import pytest

from sim.testbench import Bench
from sim.testbench.runner import params, run_bench
from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.topk.interface import make_topk
from spatten_hw.topk.linerate import LineRate, plan

from . import test_quickselect as shared
from .rows import shapes_of_keys


def _no_bubble(source) -> None:
    """The input never waited."""
    assert source.cycles[-1] - source.cycles[0] == len(source.cycles) - 1


@cocotb.test()
async def one_vector_per_rows(dut):
    """Vectors of one length, whatever their keys: exactly ⌈n / lanes⌉ cycles each, in and out."""
    p = params()
    rng = Bench(dut).rng
    results = {}
    for n, k in p["rates"]:
        keys = [k for _ in range(4) for k in shapes_of_keys(rng, n, p["key"])]
        source, ends = await shared._check(dut, [(v, k) for v in keys])
        _no_bubble(source)
        gaps = {b - a for a, b in pairwise(ends)}
        assert gaps == {-(-n // p["lanes"])}, f"n={n} k={k}: {sorted(gaps)} cycles from vector to vector"
        results[f"{n},{k}"] = max(gaps)
        dut._log.info(f"n={n} k={k}: {max(gaps)} cycles per vector")
    if "RATES" in os.environ:
        Path(os.environ["RATES"]).write_text(json.dumps(results))


@cocotb.test()
async def no_bubble_in_any_mix(dut):
    """Long vectors between many short ones, and lengths at random."""
    p = params()
    rng = Bench(dut).rng
    top, lanes = p["max_n"], p["lanes"]
    rows = -(-top // lanes)
    mixed = [rng.choice([1, rng.randrange(1, lanes + 1), rng.randrange(1, top + 1), top]) for _ in range(60)]
    # While a stage reads a longest vector, as many of one row as can pile up in front of it.
    piled = [top, *[1] * rows, top, top, *[1] * (2 * rows), *[top] * 4, *[min(lanes, top)] * rows, top, 1, top]
    for sizes in (mixed, piled):
        vectors = [([rng.getrandbits(p["key"]) for _ in range(n)], rng.randrange(1, n + 1)) for n in sizes]
        source, _ = await shared._check(dut, vectors)
        _no_bubble(source)


@cocotb.test()
async def latency(dut):
    p = params()
    rng = Bench(dut).rng
    for n, stated in ((1, p["latency_1"]), (p["max_n"], p["latency"])):
        source, ends = await shared._check(dut, [([rng.getrandbits(p["key"]) for _ in range(n)], max(1, n // 2))])
        took = ends[0] - source.cycles[0]
        assert took == stated, f"n={n}: {took} cycles, stated {stated}"


@cocotb.test()
async def stalled_for_long(dut):
    """Fills ring and queues to the brim before anything is taken."""
    p = params()
    rng = Bench(dut).rng
    for top in (1, p["max_n"]):
        vectors = [([rng.getrandbits(p["key"]) for _ in range(n)], rng.randrange(1, n + 1))
                   for n in (rng.randrange(1, top + 1) for _ in range(200 if top == 1 else 40))]
        await shared._check(dut, vectors, 0.0, 0.95)


LINE_RATE = ["one_vector_per_rows", "no_bubble_in_any_mix", "latency"]


def _run(key, payload, tag, lanes, max_n, rates=(), **options):
    engine = LineRate(key, payload, tag, lanes, max_n, **options)
    common = {"key": key, "payload": payload, "tag": tag, "lanes": lanes, "max_n": max_n, "rows": engine.max_rows,
              "bound": engine.cycles(max_n), "rates": [*rates, (max_n, max(1, max_n // 2)), (1, 1)],
              "latency": engine.latency(max_n), "latency_1": engine.latency(1)}
    looped = max(engine.passes) > 1
    directed = [f for f in shared.FUNCTION if not (looped and f == "keeping_all_runs_at_full_rate")]
    run_bench(engine, shared.__name__, testcase=directed, params=common)
    own = ["latency", "stalled_for_long"] if looped else [*LINE_RATE, "stalled_for_long"]
    run_bench(engine, __name__, testcase=own, params=common)


@pytest.mark.parametrize("key,payload,tag,lanes,max_n,options", [
    (12, 10, 5, 4, 40, {}), (5, 6, 2, 1, 9, {}), (12, 3, 2, 5, 4, {}), (4, 4, 1, 3, 20, {}), (1, 3, 1, 2, 6, {}),
    (9, 4, 3, 2, 16, {"digit_bits": 2, "digit_stages": 5}), (41, 7, 1, 2, 17, {}),
    (7, 3, 2, 1, 5, {"digit_bits": 1, "digit_stages": 2})])
def test_selection(key, payload, tag, lanes, max_n, options):
    _run(key, payload, tag, lanes, max_n, **options)


def test_line_rate_of_the_papers_size():
    """1,024 keys, 16 per cycle: at most 68 cycles per vector are asked for, 64 it takes."""
    engine = make_topk("linerate", 12, 10, 5, 16, 1024)
    assert isinstance(engine, LineRate)
    assert engine.cycles(1024) == 64
    run_bench(engine, __name__, testcase=LINE_RATE, params={
        "key": 12, "payload": 10, "tag": 5, "lanes": 16, "max_n": 1024, "rows": engine.max_rows,
        "rates": [(1024, 512), (307, 92), (204, 41), (102, 20)],
        "latency": engine.latency(1024), "latency_1": engine.latency(1)})


def test_digits():
    assert plan(12, 4, 3) == ([4, 4, 4], [1, 1, 1])
    assert plan(5, 4, 3) == ([3, 2], [1, 1])
    assert plan(1, 4, 1) == ([1], [1])
    assert plan(41, 4, 3) == ([4] * 8 + [3] * 3, [1, 5, 5])
    with pytest.raises(ValueError, match="at least 2"):
        plan(12, 4, 1)
    with pytest.raises(ValueError, match="digit_bits"):
        plan(12, 0, 3)


def test_chosen_in_the_configuration():
    assert SpAttenConfig().topk == "quickselect"
    assert SpAttenConfig(topk="linerate").hash != SpAttenConfig().hash
    with pytest.raises(ConfigError, match=r"topk = 'bubblesort'.*'quickselect' or 'linerate'"):
        SpAttenConfig(topk="bubblesort")
