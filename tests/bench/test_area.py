"""`bench area`: a unit of a tiny build on every target, its history and plot; shares, sums and refusals."""

import json
import re

import pytest

from spatten_hw.boards.flow.area import GLUE, WHOLE, Area, Measured
from spatten_hw.boards.flow.families import FAMILIES, Utilisation
from spatten_hw.boards.flow.tools import NOTHING
from spatten_hw.cli import main
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.presets import SMALL
from spatten_hw.sim.bench import area_history
from spatten_hw.sim.bench.area import clocked_units
from spatten_hw.sim.bench.area_report import CELLS, FIGURE_13, PresetReport, directions
from spatten_hw.units import BY_NAME
from tests.boards.captured import LIBERTY
from tests.cli.test_cli import TINY, TINY_ARGS


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """Nothing measured before, nothing left."""
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path_factory.mktemp("area")))


def test_one_unit(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    liberty, out = tmp_path / "mini.lib", tmp_path / "area.json"
    history, plot = tmp_path / "history.json", tmp_path / "plot.svg"
    liberty.write_text(LIBERTY)
    arguments = ["bench", "area", *TINY_ARGS, "--unit", "scale_table", "--target", "ecp5", "--target", "xcup",
                 "--liberty", str(liberty), "--json", str(out), "--history", str(history), "--plot", str(plot)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert re.search(r"^xcup .*block RAMs", text, re.MULTILINE) and "Figure 13" in text
    preset, = json.loads(out.read_text())["presets"]
    assert set(preset["areas"]) == {"ecp5", "xcup", CELLS}
    for target, (unit,) in preset["areas"].items():
        assert unit["unit"] == "scale_table" and (unit["gates"] > 50) == (target == CELLS)
        assert (unit["luts"] > 0) == (target != CELLS)
    kept = json.loads(history.read_text())
    assert kept["series"]["custom/scale_table/ecp5/luts"] == "smaller"
    assert kept["runs"][0]["values"]["custom/scale_table/cells/gates"] == preset["areas"][CELLS][0]["gates"]
    assert "<svg" in plot.read_text()[:2000]


def test_sums():
    """The whole is its units and what joins them, blocks that occur often counted as often."""
    measured = Measured.__new__(Measured)
    from spatten_hw.boards.flow.blocks import Design

    def module(name: str, *children: str) -> str:
        inside = "".join(f"  {child} i{n} (\n  );\n" for n, child in enumerate(children))
        return f"module {name}(clk);\n  input clk;\n{inside}endmodule\n"

    measured.design = Design(module("spatten", "a", "b") + module("a", "port", "port", "port") + module("b", "own")
                             + module("port", "own") + module("own"))
    measured.units = {"fetcher": "a", "score": "b"}
    measured.boxes = ["a", "b", "port"]
    assert measured.modules("fetcher") == {"a": 1, "port": 3}
    assert measured.modules("score") == {"b": 1}
    assert measured.modules(GLUE) == {"spatten": 1}
    assert measured.modules(WHOLE) == {"spatten": 1, "a": 1, "b": 1, "port": 3}


def test_repeated_blocks_are_found():
    """A slice is a block of its own where there are many, and the units have the names of their modules."""
    from spatten_hw.boards.flow.units import repeated_modules, unit_modules
    config = SpAttenConfig(**TINY).replace(multipliers=32, chunk=8, max_dim=16, topk_lanes=4, channels=1)
    assert config.slices == 4
    measured = Measured(config, None)
    assert set(unit_modules().values()) <= set(measured.design.modules)
    found = repeated_modules(measured.design, unit_modules().values())
    assert {"spatten_score_slice", "spatten_value_slice", "spatten_slice_feed"} <= set(found)
    assert measured.modules("score")["spatten_score_slice"] == config.slices


def area(unit: str, gates: float = 0, **used: int) -> Area:
    return Area(unit, Utilisation(**used), gates, 0, {}, NOTHING)


def test_shares_and_series():
    gates = {"score": 40, "prob_value": 40, "fetcher": 15, "softmax": 4, "local_topk": 1}
    report = PresetReport(SMALL, {
        CELLS: {unit: area(unit, count) for unit, count in gates.items()} | {WHOLE: area(WHOLE, 100)},
        "ecp5": {WHOLE: area(WHOLE, luts=9, dsps=2)}}, {"writer": "does not fit"})
    shares = report.shares()
    assert WHOLE not in shares and sum(s["share"] for s in shares.values()) == pytest.approx(100)
    assert {unit: s["paper"] for unit, s in shares.items()} == FIGURE_13
    arrays = report.groups()["arrays: score, prob_value"]
    assert arrays == {"share": pytest.approx(80), "paper": pytest.approx(76.7)} and len(report.groups()) == 2
    series = report.series()
    assert series["small/whole/ecp5/luts"] == 9 and series["small/score/cells/gates"] == 40
    assert not any(name.endswith("mhz") for name in series)
    assert set(directions([*series, "small/whole/ecp5/mhz"]).values()) == {"smaller", "larger"}
    assert "does not fit" in report.text() and "38.6" in report.text()


def test_history_replaces_on_the_same_commit(tmp_path):
    path = tmp_path / "history.json"
    first, dirty = area_history.Commit("abc", "2026-01-01", False), area_history.Commit("abc", "2026-01-01", True)
    area_history.append(path, first, {"a/b/ecp5/luts": 5}, {"a/b/ecp5/luts": "smaller"})
    area_history.append(path, first, {"a/b/ecp5/mhz": 80}, {"a/b/ecp5/mhz": "larger"})
    history = area_history.append(path, dirty, {"a/b/ecp5/luts": 4}, {})
    assert [run["values"] for run in history["runs"]] == [{"a/b/ecp5/luts": 5, "a/b/ecp5/mhz": 80},
                                                          {"a/b/ecp5/luts": 4}]
    path.write_text('{"runs": 3}')
    with pytest.raises(UserError, match="is not a history"):
        area_history.read_history(path)


@pytest.mark.parametrize(("arguments", "words"), [
    (["--unit", "fetch"], "unknown unit 'fetch'; units: fetcher, "),
    (["--target", "ice40"], "unknown target 'ice40'; targets: ecp5, xc7, xcup"),
    (["--mhz", "all"], "unknown --mhz unit 'all'"),
    (["--placed"], "--placed: says how --mhz measures"),
    (["--placed", "--mhz", "whole", "--history", "x.json"], "--placed: its MHz are not those of routed designs"),
    (["--plot", "x.svg"], "--plot: draws a history"),
    (["--liberty", "/nowhere/x.lib"], "--liberty /nowhere/x.lib: No such file"),
])
def test_refusals(arguments, words, capsys):
    assert main(["bench", "area", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_units_have_classes():
    assert set(FIGURE_13) <= set(BY_NAME) and set(FAMILIES) == {"ecp5", "xc7", "xcup"}


def test_each_is_of_the_units_asked_for():
    assert clocked_units(["whole", "each"], None) == ["whole", *BY_NAME]
    assert clocked_units(["each", "writer", "whole"], ["writer", "score", "glue"]) == ["score", "writer", "whole"]
