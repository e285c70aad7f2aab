"""`bench silicon`: what is missing is said in a line before anything long; a small unit from Verilog to mm²."""

import json
import re

import numpy as np
import pytest

from spatten_hw.cli import main
from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import verilog_digest
from spatten_hw.sim.silicon import cacti, events, figures, gate_check, nodes, sta
from spatten_hw.sim.silicon.chart import shares
from spatten_hw.sim.silicon.chip import UnitSilicon
from spatten_hw.sim.silicon.memories import Shape
from spatten_hw.sim.silicon.projected import project
from spatten_hw.sim.silicon.report import ChipReport
from spatten_hw.sim.silicon.runs import Run, cases, macs
from spatten_hw.sim.silicon.units import Energy
from tests.boards import captured
from tests.cli.test_cli import TINY_ARGS

from .files import LIBERTY


class Macros:
    """CACTI without CACTI: areas and energies by bits."""

    key = "none"
    nm = 40.0
    program = None

    def __init__(self, *_: object):
        pass

    def macro(self, shape: Shape) -> cacti.Macro:
        return cacti.Macro(shape.bits, shape.width, 2 * shape.width, 1e-9 * shape.bits, 0.2, 0.2, 1.0)


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path / "build"))
    path = tmp_path / "mini.lib"
    path.write_text(LIBERTY)
    return path


@pytest.mark.parametrize(("arguments", "words"), [
    (["--unit", "fetch"], "unknown unit 'fetch'; units: fetcher, "),
    (["--liberty", "/nowhere/x.lib"], "--liberty /nowhere/x.lib: no such file; apt-get install qflow-tech-osu018"),
    (["--like", "eight"], "unknown --like preset 'eight'; presets: small, eighth, full"),
    (["--like", "small", "--areas-only"], "--like: is how power is found without a trace"),
    (["--check-gates", "--areas-only"], "--check-gates: compares power"),
    (["--record", "--unit", "score"], "--record: needs the power of every unit"),
    (["--json", "/nowhere/x.json"], "/nowhere"),
    (["--areas-only", "--cacti", "/nowhere/c.whl"], "--cacti /nowhere/c.whl: no such file or folder; get it with: pip"),
    (["--areas-only", "--lef", "/nowhere/c.lef"], "--lef /nowhere/c.lef: No such file"),
])
def test_refusals(arguments, words, capsys, library):
    if "--liberty" not in arguments:
        arguments = ["--liberty", str(library), *arguments]
    assert main(["bench", "silicon", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_missing_tools(capsys, library, monkeypatch):
    monkeypatch.setattr(sta.shutil, "which", lambda name: None)
    assert main(["bench", "silicon", "--liberty", str(library)]) == 2
    assert capsys.readouterr().err.endswith("OpenSTA is missing; install with: apt-get install opensta\n")
    assert "apt-get install iverilog" in gate_check.missing()


@pytest.mark.parametrize(("cell", "words"), [("DFFX1", "has no flip-flop"), ("BUFX1", "has no buffer"),
                                             ("NAND2X1", "no two-input NAND")])
def test_a_liberty_file_without_what_is_needed(cell, words, capsys, library, monkeypatch):
    monkeypatch.setattr("spatten_hw.sim.silicon.measure.Cacti", Macros)
    monkeypatch.setattr("spatten_hw.sim.silicon.measure.off_current", lambda program, nm: 1e-7)
    library.write_text(re.sub(rf"  cell \({cell}\).*?\n  }}\n|cell \({cell}\).*\n", "", LIBERTY, flags=re.DOTALL)
                       if cell == "DFFX1" else re.sub(rf"cell \({cell}\).*\n", "", LIBERTY))
    assert main(["bench", "silicon", *TINY_ARGS, "--liberty", str(library), "--areas-only"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert words in error[-1]


def test_a_unit(capsys, library, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("spatten_hw.sim.silicon.measure.Cacti", Macros)
    monkeypatch.setattr("spatten_hw.sim.silicon.measure.off_current", lambda program, nm: 1e-7)
    library.write_text(captured.LIBERTY)
    out, plot = tmp_path / "s.json", tmp_path / "s.svg"
    assert main(["bench", "silicon", *TINY_ARGS, "--liberty", str(library), "--areas-only", "--unit", "scale_table",
                 "--unit", "sequencer", "--json", str(out), "--plot", str(plot)]) == 0
    text = capsys.readouterr().out
    assert "Figure 13 %" in text and "GOPS/mm²" not in text    # two units are not the whole
    report = json.loads(out.read_text())
    assert [unit["unit"] for unit in report["units"]] == ["scale_table", "sequencer"]
    assert report["units"][1]["gates"] > 100 and report["units"][1]["flip_flops"] > 10
    assert report["mm2"] == pytest.approx(report["logic_mm2"] + report["sram_mm2"])
    assert "<svg" in plot.read_text()[:2000]


def energy(logic: float, clock: float, sram: float = 1.0) -> Energy:
    return Energy(logic, 0.0, clock, clock, 0.0, sram, 0.0, 0.0, 0, 0, 0.1)


def run(name: str, cycles: int, case=None) -> Run:
    case = case or next(c for c in cases(PRESETS["small"]) if c.name == name)
    return Run(case, cycles, macs(case), 3200, {"total": 1000.0, "refresh": 100.0, "background": 200.0}, (), print, "k")


def test_figures():
    """1 mm² of logic at 180 nm; 100 pJ a cycle of it; half of a watt of DRAM."""
    factors = nodes.factors()
    unit = UnitSilicon("score", area=9e5, buffer_area=1e5, pins=1.0, sram_area=5e5, sram_leakage=0.01,
                       energy={"prompt": energy(100, 40, 20)})
    area, = figures.areas([unit], factors)
    assert area.logic == pytest.approx(factors.area) and area.sram == pytest.approx(0.5)
    prompt = run("prompt", 2000)
    split = figures.split([unit], prompt, factors, 1e-7)
    assert split.logic == pytest.approx(0.1 * factors.energy) and split.clock == pytest.approx(0.04 * factors.energy)
    assert (split.sram, split.dram, split.dram_standing) == pytest.approx((0.02, 0.5, 0.15))
    width = figures.WIDTH_PER_PF * 40 / 180
    assert split.logic_leakage == pytest.approx(width / 2 * 1e-7 * 0.9)
    assert split.total == pytest.approx(sum(split.groups.values()))
    found = figures.efficiency(prompt, split)
    assert found.gops == pytest.approx(2 * sum(prompt.macs) / 2000)
    assert found.pj * found.gops == pytest.approx(1000 * split.total) and found.logic_pj < found.chip_pj < found.pj
    assert figures.dense_gops(PRESETS["full"]) == 2048
    report = ChipReport(PRESETS["small"], "x.lib", factors, 1e-7, [unit], [area], [split], [found])
    assert shares(report) == {"score": pytest.approx(100)} and "projected" not in report.text()
    json.dumps(report.as_json)


def test_projection():
    """Twice the slices at the same work of each: twice what moves, the own clock."""
    small = PRESETS["small"].replace(name="a", multipliers=32, chunk=32)
    large = small.replace(name="b", multipliers=64, topk_lanes=4, channels=2)
    case = next(c for c in cases(small) if c.name == "prompt")
    like = UnitSilicon("score", area=100, memories={Shape(64, 8): 1}, energy={"prompt": energy(100, 40, 10)})
    unit = UnitSilicon("score", area=200, clock=90, memories={Shape(64, 8): 2})
    project([unit], run("prompt", 500, case), large, [like], run("prompt", 1000, case), small, Macros())
    found = unit.energy["prompt"]
    assert found.clock == 90 and found.logic == pytest.approx(90 + 2 * 60) and found.sram == pytest.approx(20)


def test_energies_of_events():
    """Those in the package are of the present Verilog, and plausible beside published units of 45 nm (0.54 pJ)."""
    known = json.loads(events.TABLE.read_text())
    for preset, entry in known.items():
        found = events.energy_per_event(preset)
        assert found.preset == preset and 0.3 < found.mac["qk"] < 3 and 0.3 < found.mac["pv"] < 3
        assert re.fullmatch(r"[0-9a-f]{12}", entry["verilog_digest"]) and found.cycle > 10 * found.mac["qk"]
        assert all(0 < read < 1000 and 0 < write < 1000 for read, write in found.word.values())
    with pytest.raises(UserError, match="no energies of 'tiny' have been measured; there are those of eighth"):
        events.energy_per_event("tiny")


def test_record(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "TABLE", tmp_path / "events.json")
    made = events.EventEnergy("x", {"qk": 1.23456}, {"score": (1.0, 2.0)}, {"score": 8}, 3.0, 4.0, 5.0, {"logic": 0.1})
    events.record(made, "0123456789ab", None)
    events.record(made, "0123456789ab", "eighth")
    assert events.energy_per_event("x").mac == {"qk": 1.235} and events.energy_per_event("x").word == made.word


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_recorded_energies_are_of_the_present_verilog():
    for preset, entry in json.loads(events.TABLE.read_text()).items():
        assert entry["verilog_digest"] == verilog_digest(PRESETS[preset]), f"bench silicon --preset {preset} --record"


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_small_as_a_chip(capsys, tmp_path):
    """The whole flow: gates that are loaded as the RTL was, hazards within bounds, nothing negative."""
    out = tmp_path / "small.json"
    code = main(["bench", "silicon", "--preset", "small", "--check-gates", "--json", str(out)])
    if code == 2:
        said = capsys.readouterr().err
        # A tool or library that this machine lacks; whatever else is refused is a fault.
        assert "is missing" in said or "apt-get install" in said, said
        pytest.skip(said)
    report = json.loads(out.read_text())
    assert report["mm2"] < 3 and 0.3 < report["ghz"] < 3
    for check in report["gate_checks"]:
        assert check["wrong"] == 0 and abs(check["difference"]) < 0.15
        assert np.isclose(check["counted"], check["settled"], rtol=0.02)
    for unit in report["units"]:
        for energy_of in unit["energy"].values():
            # Reads that meet a write are simulated wrong on purpose where the design does not use them.
            assert energy_of["wrong"] <= 0.01 * max(unit["flip_flops"], 1) + 30
            assert all(value >= 0 for value in energy_of.values())


def test_no_tools_at_a_time(capsys):
    with pytest.raises(SystemExit) as left:
        main(["bench", "silicon", "--jobs", "0"])
    assert left.value.code == 2 and "--jobs: 0: must be at least 1" in capsys.readouterr().err


def test_one_file_for_two_outputs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "silicon", "--preset", "small", "--json", "x.svg", "--plot", "x.svg"]) == 2
    assert "is given for two outputs" in capsys.readouterr().err and not list(tmp_path.iterdir())
