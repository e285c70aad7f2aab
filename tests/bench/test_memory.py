"""`spatten-hw bench memory` on a tiny build: figures, the memory's side, JSON, exit codes."""

import json

import numpy as np
import pytest

from spatten_hw.cli import main
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench import measure, session
from spatten_hw.sim.bench.memory_cases import memory_cases as cases_of
from spatten_hw.sim.bench.memory_cases import refetch_plan
from spatten_hw.sim.bench.memory_side import sustained
from spatten_hw.sim.bench.session import Figure
from spatten_hw.sim.dram.timing import DDR3_1600, HBM2
from spatten_hw.sim.golden.integer_engine import golden_results
from tests.integration.builds import QUAD

from .files import CASCADE, cascade_rows, text
from .test_attention import build, refused


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(*arguments, config=QUAD):
    return main(["bench", "memory", *arguments, *build(config)])


def report(path="o.json"):
    with open(path) as file:
        return json.load(file)


def cases(path="o.json"):
    return {case["name"]: case for case in report(path)["cases"]}


def figures(case):
    return {f["what"]: f["value"] for f in case["figures"]}


def test_every_case(folder, capsys):
    # By themselves: behind all cases, a refresh falls into the first of steady's tiny runs, as long as they differ.
    assert bench("--quick", "--case", "pruned8", "--case", "pruned8-steady", "--json", "pruned.json") == 0
    assert bench("--quick", "--json", "o.json") == 0
    found = cases()
    assert list(found) == ["dense12", "dense12-steady", "pruned8", "pruned8-steady", "summarise384", "refetch-0",
                           "refetch-6", "refetch-30", "refetch-100"]
    for name, case in found.items():
        dram, traffic = case["dram"], case["traffic"]
        accesses = dram["row_hits"] + dram["row_closed"] + dram["row_conflicts"]
        assert case["bit_exact"] and 0 < dram["hit_share"] < 1 and accesses > 0
        assert 15 < dram["mean_latency_ns"] < dram["max_latency_ns"]
        assert len(dram["bytes_per_cycle"]) == 2 and dram["burst_over_fetch"] >= 1
        assert dram["energy_nj"]["total"] > dram["access_energy_nj"] > 0
        if "steady" not in name:
            moved = sum(dram["bytes_per_cycle"]) * case["cycles"]
            assert moved == pytest.approx(sum(case["bytes"].values())), "what memory saw is what the accelerator counts"
        assert 0 < traffic["dense_bytes"]["12"] < traffic["dense_bytes"]["16"]
        # Rows of 48 and of 64 bytes in granules of 32: as many bursts of 32.
        assert 0 < dram["dense_access_energy_nj"]["12"] == pytest.approx(dram["dense_access_energy_nj"]["16"], rel=0.1)
        assert 1 <= traffic["over_fetch"] <= 1.1, name
        assert all(f["met"] is None for f in case["figures"])
    # The whole dense layer moves what dense attention does, and no byte more but descriptors.
    dense = found["dense12"]
    assert dense["traffic"]["dense_bytes"]["12"] == sum(v for n, v in dense["bytes"].items() if n != "other")
    for name in ("dense12", "dense12-steady"):
        rate = figures(found[name])["bytes per cycle while fetching"]
        assert 0 < rate <= 16 and figures(found[name])["of the ports' peak"] == pytest.approx(rate / 16)
    for case in (found["pruned8"], *cases("pruned.json").values()):
        f = figures(case)
        # No run takes fewer cycles than memory alone. The difference of two runs of few heads may, by what the shorter
        # one loses and the longer one does not.
        if "steady" not in case["name"]:
            assert f["bytes read per cycle"] <= f["memory and ports alone"]
        assert f["memory and ports alone"] <= 16
        parts = [x["value"] for x in case["figures"] if x["what"] == "of these"]
        assert parts == pytest.approx([f["bytes read per cycle"] / f[what] for what in (
            "memory and ports alone", "the same with the controller's own queue")])
    assert found["summarise384"]["cycles"] / figures(found["summarise384"])["cycles on perfect memory"] >= 1
    flat = [found[f"refetch-{p}"]["counters"]["refetches"] for p in (0, 6, 30, 100)]
    assert flat == [0, 1, 3, 8]
    assert found["refetch-100"]["cycles"] > found["refetch-30"]["cycles"] > found["refetch-0"]["cycles"]
    cost = (found["refetch-100"]["cycles"] - found["refetch-0"]["cycles"]) / 8
    assert figures(found["refetch-100"])["cycles per flat row more"] == cost
    shown = capsys.readouterr().out
    assert "rows hit" in shown and "bytes/dense 16" in shown and "equal to the golden model bit for bit" in shown


def test_memories_differ(folder, capsys):
    taken = {}
    for arguments in (("perfect",), ("hbm2",), ("ddr3",), ("hbm2", "--clock", "10")):
        assert bench("--quick", "--case", "dense12", "--memory", *arguments, "--json", "o.json") == 0
        taken[arguments] = cases()["dense12"]["cycles"]
        model = report()["memory"]
        assert model["model"] == {"ddr3": "ddr3-1600"}.get(arguments[0], arguments[0])
        assert (cases()["dense12"]["dram"] is None) == (arguments[0] == "perfect")
    # HBM2 is far away at 1 GHz and at 100 MHz as near as perfect memory; DDR3 answers last.
    assert taken["hbm2", "--clock", "10"] == pytest.approx(taken["perfect",], rel=0.02)
    assert taken["perfect",] < taken["hbm2",] < taken["ddr3",]
    assert "rows hit" in capsys.readouterr().out


def test_a_workload_three_times(folder, capsys):
    (folder / "c.csv").write_text(text(*cascade_rows(CASCADE, flat="True")))
    assert bench("--workload", "c.csv", "--limit", "13", "--json", "o.json") == 0
    found = cases()
    assert [(name, case["queries"]) for name, case in found.items()] == [
        ("c", 13), ("c-gathered", 13), ("c-cascade", 12)]
    cascade = found["c-cascade"]
    assert cascade["shape"] == "12 requests, 6 with LSBs" and cascade["counters"]["refetches"] == 6
    assert [(p["name"], p["queries"]) for p in cascade["parts"]] == [
        ("40 keys, 8 values", 4), ("30 keys, 6 values", 2), ("37 keys, 7 values", 2), ("30 keys, 30 values", 2),
        ("24 keys, 1 values", 2)]
    # 12-byte rows on 8-byte beats are two beats each.
    over = cascade["traffic"]["over_fetch_by_class"]
    assert over["k_msb"] == over["v_msb"] == pytest.approx(16 / 12)
    assert "6 layers of 2 heads" in capsys.readouterr().out
    assert bench("--workload", "c.csv", "--case", "c-cascade", "--memory", "ddr4", "--json", "o.json") == 0
    assert cases()["c-cascade"]["queries"] == 18


@pytest.mark.parametrize("what", ["scores", "out"])
def test_a_difference_in_a_cascade_exits_1(what, folder, capsys, monkeypatch):
    """Survivors depend on scores that the hardware alone keeps: they are compared at the end."""
    (folder / "c.csv").write_text(text(*cascade_rows(CASCADE[:1])))
    real = measure.Bench.run

    def altered(self, name, plan, golden=None, **more):
        getattr(golden[-1], what).flat[3] += 1
        return real(self, name, plan, golden, **more)

    monkeypatch.setattr(measure.Bench, "run", altered)
    assert bench("--workload", "c.csv", "--case", "c-cascade") == 1
    shown = capsys.readouterr().out
    assert "1 DIFFERENCES" in shown and ("scores differ" if what == "scores" else "outputs differ") in shown


def test_bad_arguments(folder, capsys, monkeypatch):
    monkeypatch.setattr(measure, "TellingTransport", None)
    monkeypatch.setattr(session, "Bench", None)
    (folder / "c.csv").write_text(text(*cascade_rows([[(20, 2), (21, 2)]])))
    for argv, word in (
            (["--case", "dense"], "cases: dense12, dense12-steady"), (["--memory", "sram"], "sram"),
            (["--clock", "0"], "0.01"), (["--limit", "3"], "--workload"), (["--heads", "9"], "max_heads = 8"),
            (["--case", "dense12", "--heads", "2", "--set", "max_tokens=32"], "dense12"),
            (["--workload", "c.csv"], "line 4: key_fetch_num grows"), (["--json", "none/o.json"], "none")):
        assert word in refused(["memory", *argv, *build(QUAD)], capsys), argv
    # As independent requests the same file is welcome.
    assert main(["bench", "memory", "--workload", "c.csv", "--list", *build(QUAD)]) == 0
    assert "c-cascade" in capsys.readouterr().out


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_the_cases(preset, folder, capsys, monkeypatch):
    monkeypatch.setattr(measure, "TellingTransport", None)
    assert main(["bench", "memory", "--preset", preset, "--list"]) == 0
    shown = capsys.readouterr().out
    assert "left out" not in shown and "refetch-100" in shown
    sizes = {case.name: (case.tokens, case.dim, case.bits, case.heads) for case in cases_of(PRESETS[preset])}
    if preset != "small":
        assert sizes["dense12"] == (1000, 64, 12, 12) and sizes["pruned8"] == (1000, 64, 8, 12)
        assert sizes["summarise384"] == (384, 64, 12, 12)
        assert sizes["refetch"] == (500, 64, 10, min(48, PRESETS[preset].max_heads))


def test_flat_rows_are_spread_over_the_heads():
    case = next(c for c in cases_of(QUAD, quick=True) if c.name == "refetch")
    for percent, flat in ((0, []), (6, [4]), (30, [1, 4, 6]), (100, list(range(8)))):
        plan = refetch_plan(case, QUAD, percent)
        result, = golden_results(plan, QUAD)
        assert np.flatnonzero(result.refetched[:, 0]).tolist() == flat
    assert (plan.jobs[0].k_msb, plan.jobs[0].k_lsb, plan.jobs[0].v_lsb) == (6, 4, 4)


def test_the_memory_alone():
    """8 KB in order: HBM2 brings 32 bytes per ns, a port of 8 bytes takes 1,024 cycles whatever the memory."""
    reads = [np.column_stack([np.arange(0, 8192, 64), np.full(128, 64)])] * 2
    assert sustained(reads, HBM2, QUAD) == 1024
    wide = PRESETS["eighth"]
    assert 256 < sustained(reads, HBM2, wide) < 400
    assert sustained(reads, HBM2.replace(host_clock_ns=0.5), wide) == 2 * sustained(reads, HBM2, wide)
    assert sustained(reads, DDR3_1600, wide) > 8192 / 12.8
    assert sustained([reads[0], reads[0][:0]], HBM2, wide) == sustained(reads, HBM2, wide)


def test_figures():
    for figure, met, shown in (
            (Figure("x", 0.9, 0.9, percent=True), True, "90.0 %"), (Figure("x", 0.89, 0.9), False, "0.890"),
            (Figure("x", 1.02, 1.02, least=False), True, "1.020"), (Figure("x", 12345.6), None, "12346"),
            (Figure("x", 1.03, 1.02, least=False), False, "1.030")):
        assert figure.met is met and figure.show(figure.value) == shown
