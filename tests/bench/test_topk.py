"""`bench topk`: what it measures of engines small enough to build in seconds, what it finds, what it refuses."""

import json

import numpy as np
import pytest

import spatten_hw.sim.golden.topk as golden_topk
from spatten_hw.cli import main
from spatten_hw.sim.bench import topk, topk_engine

TINY = ["--preset", "small", "--set", "max_tokens=128", "--set", "sram_tokens=128", "--lanes", "4"]


def bench(*arguments: str) -> int:
    return main(["bench", "topk", *TINY, *arguments])


def test_line_rate_is_exact(tmp_path, capsys):
    out = tmp_path / "topk.json"
    assert bench("--engine", "linerate", "--vectors", "20", "--json", str(out)) == 0
    report = json.loads(out.read_text())
    assert report["bit_exact"] and report["config"]["max_tokens"] == 128
    text = capsys.readouterr().out
    assert text.endswith("equal to the golden model bit for bit\n")
    cases = {(c["case"], c["data"]): c for c in report["cases"]}
    assert set(cases) == {(f"n={n} k={k}", data) for n, k in ((102, 20), (43, 9)) for data in ("random", "hard")} | {
        ("all of these", "random mix"), ("n=1…128, any k", "random mix")}
    for c in cases.values():
        assert c["met"] and c["waits"] == 0 and c["case"] in text
    for n, k in ((102, 20), (43, 9)):
        for data in ("random", "hard"):
            c = cases[f"n={n} k={k}", data]
            assert c["stated"] == c["bound"] == -(-n // 4)
            assert c["stated"] <= c["worst"] <= c["stated"] + topk_engine.JITTER
            assert abs(c["cycles"] - c["stated"]) < 0.2
        alone = cases[f"n={n} k={k}", "random"]
        assert alone["stated_latency"] <= alone["latency"] <= alone["stated_latency"] + topk_engine.JITTER


def test_quick_select(tmp_path):
    out = tmp_path / "topk.json"
    assert bench("--engine", "quickselect", "--vectors", "30", "--json", str(out)) == 0
    cases = json.loads(out.read_text())["cases"]
    assert any(c["stated"] is not None for c in cases)
    for c in cases:
        assert c["bit_exact"] and c["met"]
        assert c["stated"] is None or c["bound"] < c["cycles"] <= c["worst"] <= c["stated"] + topk_engine.JITTER


def test_targets_and_promises_are_looked_at():
    row = topk_engine.Row("linerate", 16, "n=1024 k=512", "random", 10, 64.0, 64, 64, 0, 64.0, target=68)
    assert row.met
    row.cycles = 68.1
    assert not row.met
    assert not topk_engine.Row("quickselect", 16, "n=9 k=1", "hard", 10, 9.0, 32, 30, 5, 1.0).met
    assert not topk_engine.Row("linerate", 16, "n=9 k=1", "hard", 10, 1.0, 1, 1, 1, 1.0).met


def test_a_difference_is_told(monkeypatch, capsys):
    def lowest_last(keys, k):
        return np.asarray(keys) > np.sort(keys)[::-1][k] if k < len(keys) else np.ones(len(keys), dtype=bool)

    golden = golden_topk.topk_mask
    monkeypatch.setattr(golden_topk, "topk_mask", lambda keys, k: np.roll(lowest_last(keys, k), 1) if len(keys) == 43
                        else golden(keys, k))
    monkeypatch.setattr(topk, "hard_keys", lambda rng, n: [rng.permutation(4096)[:n]] * 4)
    assert bench("--engine", "linerate", "--vectors", "6") == 1
    text = capsys.readouterr().out
    assert "DIFFERENCES from the golden model" in text and "DIFFERS linerate, P=4, n=43 k=9, random: " in text


@pytest.mark.parametrize("arguments,what", [
    (["--engine", "bubblesort"], "unknown top-k engine 'bubblesort'; engines: quickselect, linerate"),
    (["--json", "/nowhere/topk.json"], "/nowhere/topk.json: there is no folder /nowhere; create it first"),
    (["--set", "max_tokens=32", "--set", "sram_tokens=32"], "max_tokens = 32: the shortest case has 43 keys"),
    (["--preset", "tiny"], "unknown preset 'tiny'"), (["--vectors", "3"], "must be at least 5")])
def test_bad_arguments(arguments, what, capsys, monkeypatch):
    monkeypatch.setattr(topk, "Engine", None)  # nothing is built
    try:
        code = bench(*arguments)
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and what in error and error.count("\n") == 1
