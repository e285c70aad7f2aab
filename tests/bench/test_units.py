"""`bench units` on blocks small enough to build in seconds: rates and latencies as stated, differences found."""

import json

import numpy as np
import pytest

import spatten_hw.sim.golden.topk as golden_topk
from spatten_hw.cli import main
from spatten_hw.presets import SMALL
from spatten_hw.sim.bench import unit_output, unit_prob_value, unit_score, unit_softmax, units
from spatten_hw.sim.bench.blocks import compare, mixes, rows_of

#: Two slices, D of one and of two chunks, enough slots for vectors of one key at full rate.
TINY = {"multipliers": 8, "chunk": 4, "max_dim": 8, "max_tokens": 64, "sram_tokens": 64, "max_heads": 4,
        "max_group": 2, "slots": 32, "topk_lanes": 4, "operand_bits": 6}
CONFIG = SMALL.replace(name="custom", **TINY)
ARGUMENTS = ["--preset", "small", *(word for name, value in TINY.items() for word in ("--set", f"{name}={value}"))]


def bench(*arguments: str) -> int:
    return main(["bench", "units", *ARGUMENTS, *arguments])


def test_stated_rates_and_latencies(tmp_path, capsys):
    out = tmp_path / "units.json"
    assert bench("--set", "topk=linerate", "--vectors", "24", "--json", str(out)) == 0
    text = capsys.readouterr().out
    assert text.endswith("equal to the golden model bit for bit\n")
    report = json.loads(out.read_text())
    assert report["bit_exact"]
    found = {case["unit"] for case in report["cases"]}
    assert found == {"Q×K", "softmax", "local top-k", "Prob×V", "requantise", "token importance", "head importance"}
    for case in report["cases"]:
        stated = case["stated_cycles"]
        if case["unit"] == "Prob×V" and not case["case"].endswith("n = 64"):
            # A bound: short vectors and gangs wait for the few sums of so small a build.
            assert 0.95 * stated <= case["cycles"] <= 1.8 * stated, case
        else:
            assert case["cycles"] == stated or case["case"].endswith(("query after slot", "n < R")), case
            assert stated <= case["cycles"] <= 1.1 * stated, case
        assert case["latency"] == case["stated_latency"], case


def test_too_few_slots_show():
    figures = units.measure(CONFIG.replace(slots=2), ["softmax"], 20, 1, lambda _: None)
    short = [f for f in figures if f.case.endswith("n = 1")]
    assert short and all(f.bubbles > 2 * f.stated for f in short)
    assert not any(f.mismatches for f in figures)


def off_by_one(function):
    """`function` with the last of its last result wrong."""
    def wrong(*args, **kwargs):
        result = function(*args, **kwargs)
        first = (result[0] if isinstance(result, tuple) else result).copy()
        first.reshape(-1)[-1 if first.ndim < 2 else 0] += 1
        return (first, *result[1:]) if isinstance(result, tuple) else first
    return wrong


@pytest.mark.parametrize("unit,module,function", [
    ("score", unit_score, "scores"), ("prob-value", unit_prob_value, "prob_value"),
    ("softmax", unit_softmax, "golden_softmax"), ("requantise", unit_output, "requantise"),
    ("requantise", unit_output, "head_sum"), ("tokens", unit_output, "token_importance")])
def test_a_difference_is_found(unit, module, function, monkeypatch, capsys):
    monkeypatch.setattr(module, function, off_by_one(getattr(module, function)))
    assert bench("--set", "topk=linerate", "--unit", unit, "--vectors", "4") == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_a_difference_of_the_local_topk_is_found(monkeypatch):
    monkeypatch.setattr(golden_topk, "topk_mask", lambda keys, k: np.arange(keys.shape[1]) < k + 0 * keys)
    figures = units.measure(CONFIG.replace(topk="linerate"), ["topk"], 4, 1, lambda _: None)
    assert any("local top-k, n=43, k=9: kept" in m for f in figures for m in f.mismatches)


@pytest.mark.parametrize("arguments,what", [
    (["--unit", "scores"], "unknown unit 'scores'; units: score, softmax, topk"),
    (["--json", "/nowhere/u.json"], "there is no folder /nowhere"), (["--set", "slots=3"], "must be a power of two")])
def test_bad_arguments(arguments, what, capsys, monkeypatch):
    monkeypatch.setattr(units, "measure", None)
    assert bench(*arguments) == 2
    assert what in capsys.readouterr().err


def test_rows_of_vectors():
    rows = rows_of([np.array([1, 2, 3]), np.array([4]), np.array([5, 6])], 2, fill=9)
    assert rows.values.tolist() == [[1, 2], [3, 9], [4, 9], [5, 6]]
    assert (rows.count.tolist(), rows.last.tolist()) == ([2, 1, 1, 2], [0, 1, 1, 1])
    assert (rows.vector.tolist(), rows.row.tolist()) == ([0, 0, 1, 2], [0, 1, 0, 0])
    found: list[str] = []
    compare("a", np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 5]]), found)
    assert found == ["a[1, 1]: 4, expected 5"]
    for lanes in (1, 2, 8):
        lengths = mixes(np.random.default_rng(1), lanes, 20, 30)
        assert all(len(v) == 30 and min(v) >= 1 and max(v) <= 20 for v in lengths.values())
