"""`spatten-hw bench attention` on tiny builds: cycles, table, JSON, exit codes."""

import dataclasses
import json

import numpy as np
import pytest

from spatten_hw.cli import main
from spatten_hw.host.results import BYTE_CLASSES
from spatten_hw.interface.registers import COUNTERS
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench import measure
from spatten_hw.sim.bench.cases import Target, standard_cases
from spatten_hw.sim.bench.report import Row
from tests.integration.builds import BUILDS, LEAST, QUAD

from .files import SMALL_FILE


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build(config):
    """The arguments that choose a build."""
    return [text for n, v in config.fields.items() if n != "name" for text in ("--set", f"{n}={v}")]


def bench(config, *arguments):
    return main(["bench", "attention", *arguments, *build(config)])


def cases(path="o.json"):
    with open(path) as file:
        return {case["name"]: case for case in json.load(file)["cases"]}


#: Cycles of the quick cases, as measured, with a hundredth for the luck of pivots; they may fall.
CEILINGS: dict[str, dict[str, int]] = {
    "quad": {"summarise-384-half": 4757, "causal-512": 2749, "generate-1000": 851, "generate-1000-steady": 622},
    "wide": {"summarise-384-half": 3403, "generate-102": 265, "generate-102-steady": 30},
    "least": {"summarise-128": 3930, "generate-102": 1175},
}


@pytest.mark.parametrize("name", CEILINGS)
def test_quick_cases_take_no_more_cycles_than_measured(name, folder, capsys):
    wanted = CEILINGS[name]
    assert bench(BUILDS[name], "--quick", "--json", "o.json", *(x for n in wanted for x in ("--case", n))) == 0
    measured = cases()
    assert list(measured) == list(wanted)
    for case, ceiling in wanted.items():
        found = measured[case]
        assert 0 < found["cycles"] <= ceiling, f"{case} takes {found['cycles']} cycles, not {ceiling} or less"
        # Steady states are differences of runs whose ends overlap differently.
        assert found["cycles"] >= found["bound"]["limit"] * (0.75 if "steady" in case else 1)
        assert found["bit_exact"] and found["target"] is None
    text = capsys.readouterr().out
    assert "equal to the golden model bit for bit" in text and all(n in text for n in wanted)


def test_report_and_table(folder, capsys):
    assert bench(QUAD, "--quick", "--heads", "2", "--case", "generate-102", "--case", "summarise-128",
                 "--latency", "9", "--json", "o.json") == 0
    captured = capsys.readouterr()
    report = json.loads((folder / "o.json").read_text())
    assert report["config_hash"] == f"{QUAD.hash:08x}" and report["bit_exact"] is True
    assert report["memory"] == {"latency": 9, "peak_bytes_per_cycle": 16}
    generate, summarise = report["cases"]
    assert (generate["name"], generate["queries"]) == ("generate-102", 2)
    assert (summarise["name"], summarise["queries"], summarise["shape"]) == (
        "summarise-128", 32, "L=16 D=32, 12 bit, keep all, 2 heads")
    for case in report["cases"]:
        assert set(case["counters"]) == {c.name for c in COUNTERS} and case["counters"]["cycles"] == case["cycles"]
        assert set(case["bytes"]) == set(BYTE_CLASSES) and case["bytes"]["out"] > 0
        assert case["ratio"] == pytest.approx(case["cycles"] / case["bound"]["limit"])
        assert all(0 <= case[kind][unit] <= 1 for kind in ("busy", "stall") for unit in case[kind])
        row = next(line for line in captured.out.splitlines() if line.startswith(case["name"]))
        assert all(str(x) in row for x in (case["cycles"], case["shape"], f"{case['ratio']:.3f}"))
    # 1 row of D = 32 per cycle; K, V and Q of 2 heads.
    assert summarise["bound"]["score"] == 2 * 16 * 16 and summarise["bound"]["binds"] == "score"
    assert "fetch stall" in captured.out
    assert "simulation: cycle 0" in captured.err and "golden model" in captured.err


def test_latency_costs_cycles(folder):
    taken = []
    for latency in ("2", "200"):
        assert bench(QUAD, "--quick", "--case", "generate-102", "--latency", latency, "--json", "o.json") == 0
        taken.append(cases()["generate-102"]["cycles"])
    assert taken[1] > taken[0] + 198


def test_requests(folder, capsys):
    (folder / "some.csv").write_text(SMALL_FILE)
    assert bench(QUAD, "--workload", "some.csv", "--json", "o.json") == 0
    case = cases()["some"]
    assert (case["queries"], case["counters"]["refetches"], case["shape"]) == (8, 3, "8 requests, 3 with LSBs")
    assert [(p["name"], p["queries"]) for p in case["parts"]] == [
        ("60 keys, 12 values", 3), ("25 keys, 5 values", 2), ("9 keys, 3 values", 1), ("9 keys, 9 values", 1),
        ("1 keys, 1 values", 1)]
    assert sum(p["cycles_per_query"] * p["queries"] for p in case["parts"]) == pytest.approx(case["cycles"])
    assert sum(p["bytes_per_query"] * p["queries"] for p in case["parts"]) == pytest.approx(
        sum(case["bytes"].values()))
    assert case["cycles"] <= 2730
    text = capsys.readouterr().out
    assert "60 keys, 12 values" in text and "Q has 12 bits" in text and "not 16" in text
    assert bench(QUAD, "--workload", "some.csv", "--limit", "2", "--heads", "1", "--case", "some", "--case",
                 "generate-102", "--quick", "--json", "o.json") == 0
    assert [(n, c["queries"]) for n, c in cases().items()] == [("generate-102", 1), ("some", 2), ("some-gathered", 2)]
    assert "2 jobs of up to 1 heads" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["out", "bytes"])
def test_a_difference_from_the_golden_model_exits_1(what, folder, capsys, monkeypatch):
    real = measure.golden_results

    def altered(*arguments):
        first, *others = real(*arguments)
        if what == "out":
            first.out[1, 0, 3] += 1
            return [first, *others]
        return [dataclasses.replace(first, bytes={**first.bytes, "v_msb": first.bytes["v_msb"] + 8}), *others]

    monkeypatch.setattr(measure, "golden_results", altered)
    assert bench(QUAD, "--quick", "--case", "generate-102", "--json", "o.json") == 1
    case = cases()["generate-102"]
    assert not case["bit_exact"] and len(case["mismatches"]) == 1
    text = capsys.readouterr().out
    assert "1 DIFFERENCES from the golden model" in text
    assert ("head 1, query 0, element 3" if what == "out" else "bytes of v_msb") in text


def refused(argv, capsys):
    """A command that must fail without touching a simulation."""
    try:
        code = main(["bench", *argv])
    except SystemExit as e:
        code = e.code
    captured = capsys.readouterr()
    assert code == 2 and captured.out == ""
    assert captured.err.startswith("spatten-hw: error: ") and captured.err.count("\n") == 1, captured.err
    return captured.err


def test_bad_arguments(folder, capsys, monkeypatch):
    monkeypatch.setattr(measure, "TellingTransport", None)
    (folder / "w.csv").write_text(SMALL_FILE)
    (folder / "bad.csv").write_text(SMALL_FILE.replace("12,6", "99,6", 1))
    (folder / "d").mkdir()
    for argv, word in (
            (["nothing"], "nothing"), ([], "BENCH"), (["attention", "--preset", "huge"], "huge"),
            (["attention", "--case", "sumarise"], "summarise-384-all"), (["attention", "--latency", "0"], "latency"),
            (["attention", "--heads", "0"], "heads"), (["attention", "--heads", "129"], "max_heads = 128"),
            (["attention", "--heads", "two"], "two"), (["attention", "--limit", "3"], "--workload"),
            (["attention", "--json", "none/o.json"], "none"), (["attention", "--json", "d"], "folder"),
            (["attention", "--workload", "none.csv"], "none.csv"), (["attention", "--workload", "w.csv"], "line 2"),
            (["attention", "--workload", "bad.csv", *build(QUAD)], "line 2: value_fetch_num"),
            (["attention", "--workload", "w.csv", "--limit", "0"], "limit"),
            (["attention", "--case", "summarise-384-all", *build(LEAST)], "does not fit: 384 tokens"),
            (["attention", *build(LEAST), "--set", "max_tokens=16", "--set", "chunk_queries=0"], "no case fits")):
        assert word in refused(argv, capsys), argv
    assert sorted(p.name for p in folder.iterdir()) == ["bad.csv", "d", "w.csv"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_the_standard_cases(preset, folder, capsys, monkeypatch):
    monkeypatch.setattr(measure, "TellingTransport", None)
    assert main(["bench", "attention", "--preset", preset, "--list"]) == 0
    text = capsys.readouterr().out
    assert "left out" not in text and "summarise-384-half" in text
    shapes = {c.name: c.shape for c in standard_cases(PRESETS[preset])}
    assert all(f"{n} " in text and s in text for n, s in shapes.items())
    if preset != "small":
        assert shapes["generate-1000"] == "n=1000 D=64, 8 bit, keep 200, 12 heads"
        assert shapes["summarise-128-d32"] == "L=128 D=32, 12 bit, keep all, 12 heads"


def test_targets():
    row = Row("x", "", 10, 200, measure.Bound(score=190, limit=195, roof=190), {})
    for target, value, met in ((Target("roof", 0.95), 0.95, True), (Target("roof", 0.96), 0.95, False),
                               (Target("ratio", 1.05), 200 / 190, False), (Target("ratio", 1.06), 200 / 190, True),
                               (Target("per item", 20), 20, True), (Target("per item", 19.9), 20, False)):
        r = dataclasses.replace(row, target=target)
        assert r.reached == pytest.approx(value) and r.met is met, target
    assert row.reached is None and row.met is None


def test_the_last_heads_are_the_same_in_every_run():
    """Otherwise a steady state would hold the difference of two random drains."""
    case = next(c for c in standard_cases(QUAD, quick=True) if c.name == "generate-1000-steady")
    less, more = (case.plan(QUAD, heads).passes[0] for heads in case.head_counts(QUAD))
    assert len(more.q) == 2 * len(less.q)
    for name in ("q", "k", "v"):
        assert np.array_equal(getattr(more, name)[-len(less.q):], getattr(less, name))
    assert more.job.scales[-len(less.q):] == less.job.scales
