"""The line-rate engine: the benches of the quick-select engine, then its rate and latency to the cycle."""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
import pytest

from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.engines import topk_engine
from spatten_hw.sim.golden.topk import topk_indices
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.topk.linerate import LineRate, plan

from . import test_quickselect as shared
from .rows import collect, kept, shapes_of_keys, vector_rows


def _no_bubble(source) -> None:
    """The input never waited."""
    assert source.cycles[-1] - source.cycles[0] == len(source.cycles) - 1


def _spills(keys, k: int, lanes: int) -> bool:
    """The kept elements of the final input row do not fit into the output row they complete."""
    index = topk_indices(np.asarray(keys), k)
    final = int((index >= (len(keys) - 1) // lanes * lanes).sum())
    before = len(index) - final
    return before > 0 and (before - 1) % lanes + 1 + final > lanes


def _latest(vectors, lanes: int) -> list[int]:
    """Cycles that each vector's last output row is later than `LineRate.latency` says, vectors back to back."""
    late: list[int] = []
    for keys, k in vectors:
        # A one-row vector right behind such a final row waits for it.
        behind = bool(late) and late[-1] == 1 and len(keys) <= lanes
        late.append(int(behind or _spills(keys, k, lanes)))
    return late


@cocotb.test()
async def one_vector_per_cycles(dut):
    """Vectors of one length, whatever their keys: exactly `cycles(n)` each, from first to last."""
    p = params()
    rng = Bench(dut).rng
    results = {}
    for n, k, cycles, latency in p["rates"]:
        vectors = [(keys, k) for _ in range(4) for keys in shapes_of_keys(rng, n, p["key"])]
        source, ends = await shared._check(dut, vectors)
        if cycles == -(-n // p["lanes"]):
            _no_bubble(source)
        late = _latest(vectors, p["lanes"])
        assert ends == [source.cycles[0] + latency + i * cycles + x for i, x in enumerate(late)], f"n={n} k={k}"
        results[f"{n},{k}"] = cycles
        dut._log.info(f"n={n} k={k}: {cycles} cycles per vector, latency {latency}")
    if "RATES" in os.environ:
        Path(os.environ["RATES"]).write_text(json.dumps(results))


@cocotb.test()
async def no_bubble_in_any_mix(dut):
    """Long vectors between many short ones, and lengths at random."""
    p = params()
    rng = Bench(dut).rng
    top, lanes = p["max_n"], p["lanes"]
    rows = -(-top // lanes)
    mixed = [rng.choice([1, rng.randrange(1, min(lanes, top) + 1), rng.randrange(1, top + 1), top]) for _ in range(60)]
    # While a stage reads a longest vector, as many of one row as can pile up in front of it.
    piled = [top, *[1] * rows, top, top, *[1] * (2 * rows), *[top] * 4, *[min(lanes, top)] * rows, top, 1, top]
    for sizes in (mixed, piled):
        vectors = [([rng.getrandbits(p["key"]) for _ in range(n)], rng.randrange(1, n + 1)) for n in sizes]
        source, _ = await shared._check(dut, vectors)
        _no_bubble(source)


@cocotb.test()
async def latency(dut):
    """From an empty engine, with the ring wherever earlier vectors left it."""
    p = params()
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    form = shared._form()
    rng = bench.rng
    for n, stated in p["latencies"]:
        for keys in (*shapes_of_keys(rng, n, p["key"])[:2], [rng.getrandbits(p["key"]) for _ in range(n)]):
            k = rng.randrange(1, n + 1)
            payloads = [rng.getrandbits(form.payload) for _ in keys]
            source = bench.send("i", vector_rows(form, keys, payloads, k, 0))
            out = bench.receive("o")
            await bench.run(lambda k=k, out=out: len(out.items) >= -(-k // form.lanes), limit=10 * stated)
            assert collect(form, out.items) == [(*kept(keys, payloads, k), 0)]
            took = out.cycles[-1] - source.cycles[0] - _spills(keys, k, form.lanes)
            assert took == stated, f"n={n} k={k}: {took} cycles, stated {stated}"
            await bench.idle(rng.randrange(4))


@cocotb.test()
async def stalled_for_long(dut):
    """Fills ring and queues to the brim before anything is taken."""
    p = params()
    rng = Bench(dut).rng
    for top in (1, p["max_n"]):
        vectors = [([rng.getrandbits(p["key"]) for _ in range(n)], rng.randrange(1, n + 1))
                   for n in (rng.randrange(1, top + 1) for _ in range(200 if top == 1 else 40))]
        await shared._check(dut, vectors, 0.0, 0.95)


LINE_RATE = ["one_vector_per_cycles", "no_bubble_in_any_mix", "latency"]


def _params(engine: LineRate, rates) -> dict:
    top, lanes = engine.max_n, engine.lanes
    sizes = {1, 2, lanes, lanes + 1, 4 * lanes, 4 * lanes + 1, 102, 307, top // 2, top - 1, top}
    return {
        "key": engine.key_bits, "payload": engine.payload_bits, "tag": engine.tag_bits, "lanes": lanes, "max_n": top,
        "rows": engine.max_rows, "bound": engine.cycles(top),
        "rates": [(n, k, engine.cycles(n), engine.latency(n)) for n, k in rates],
        "latencies": [(n, engine.latency(n)) for n in sorted(sizes) if 1 <= n <= top]}


def _run(key, payload, tag, lanes, max_n, **options):
    engine = LineRate(key, payload, tag, lanes, max_n, **options)
    middle = max(1, max_n // 2)
    given = _params(engine, {(max_n, middle), (1, 1), (middle, max_n), (min(lanes, max_n), 1)})
    looped = max(engine.passes) > 1
    directed = [f for f in shared.FUNCTION if not (looped and f == "keeping_all_runs_at_full_rate")]
    run_bench(engine, shared.__name__, testcase=directed, params=given)
    own = [f for f in LINE_RATE if not (looped and f == "no_bubble_in_any_mix")]
    run_bench(engine, __name__, testcase=[*own, "stalled_for_long"], params=given)


@pytest.mark.parametrize("key,payload,tag,lanes,max_n,options", [
    (12, 10, 5, 4, 40, {}), (5, 6, 2, 1, 9, {}), (12, 3, 2, 5, 4, {}), (4, 4, 1, 3, 20, {}), (1, 3, 1, 2, 6, {}),
    (12, 4, 3, 2, 37, {"wide": 1}), (12, 4, 3, 3, 64, {"wide": 3}), (12, 5, 3, 4, 100, {"digit_bits": 6, "wide": 8}),
    (9, 4, 3, 2, 16, {"digit_bits": 2, "digit_stages": 5}),
    (12, 4, 3, 2, 80, {"digit_bits": 1, "digit_stages": 12, "wide": 16}),
    # Several passes per stage.
    (41, 7, 1, 2, 17, {}), (7, 3, 2, 1, 5, {"digit_bits": 1, "digit_stages": 2}),
    (8, 5, 3, 4, 128, {"digit_bits": 2, "digit_stages": 3, "wide": 2})])
def test_selection(key, payload, tag, lanes, max_n, options):
    _run(key, payload, tag, lanes, max_n, **options)


def test_line_rate_of_the_papers_size():
    """1,024 keys, 16 per cycle: at most 68 cycles per vector are asked for, 64 it takes."""
    engine = topk_engine("linerate", 12, 10, 5, 16, 1024)
    assert isinstance(engine, LineRate)
    assert engine.cycles(1024) == 64
    # One reading as the vector comes, two of four rows per cycle, one as it leaves.
    assert [engine.latency(n) for n in (102, 1000, 1024)] == [2 * 7 + 2 * 2 + 12, 2 * 63 + 2 * 16 + 12, 172]
    run_bench(engine, __name__, testcase=LINE_RATE, params=_params(
        engine, [(1024, 512), (307, 92), (204, 41), (102, 20), (16, 4)]))


def test_digits():
    assert plan(12, 4, 3) == ([4, 4, 4], [1, 1, 1])
    assert plan(5, 4, 3) == ([3, 2], [1, 1])
    assert plan(1, 4, 1) == ([1], [1])
    assert plan(41, 4, 3) == ([4] * 8 + [3] * 3, [1, 5, 5])
    with pytest.raises(ValueError, match="at least 2"):
        plan(12, 4, 1)
    with pytest.raises(ValueError, match="digit_bits"):
        plan(12, 0, 3)
    with pytest.raises(ValueError, match="wide must be at least 1"):
        LineRate(12, 10, 5, 4, 40, wide=0)


def test_chosen_in_the_configuration():
    assert SpAttenConfig().engine.name == "quickselect"
    assert SpAttenConfig(topk="linerate").hash != SpAttenConfig().hash
    with pytest.raises(ConfigError, match=r"topk = 'bubblesort'.*'quickselect' or 'linerate'"):
        SpAttenConfig(topk="bubblesort")
