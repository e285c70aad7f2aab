"""`spatten-hw build`: pins and clocks of every board, refusals before any work, a missed clock."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import spatten_hw.boards.build as building
from spatten_hw.boards.boards import BOARDS
from spatten_hw.boards.command import NAMES
from spatten_hw.boards.flow.blocks import Design
from spatten_hw.boards.flow.families import FAMILIES, Utilisation
from spatten_hw.boards.flow.nextpnr import Clock
from spatten_hw.boards.flow.parallel import processors
from spatten_hw.boards.flow.paths import read_paths
from spatten_hw.boards.flow.place import Placement
from spatten_hw.boards.flow.record import Record
from spatten_hw.boards.flow.synthesis import Block
from spatten_hw.boards.flow.tools import NOTHING
from spatten_hw.boards.pll import ECP5, XC7, solve
from spatten_hw.boards.shell.system import System
from spatten_hw.boards.top import SYSTEM, TOP, BoardTop
from spatten_hw.cli import main
from spatten_hw.errors import UserError
from spatten_hw.presets import SMALL

from .captured import REPORT


def test_names_without_importing_boards():
    assert tuple(BOARDS) == NAMES
    assert all(board.name == name for name, board in BOARDS.items())


@pytest.mark.parametrize("name", NAMES)
def test_top_of_every_board(name):
    """Elaborates with pins for everything; one system, clocked from the board."""
    board = BOARDS[name]
    for kind, memory in board.memories.items():
        system = System(SMALL, clock_hz=board.clock_hz, memory=memory(board.clock_hz))
        text, constraints = building.board_verilog(board, system, kind)
        assert len(re.findall(rf"^  {SYSTEM}  ?box \(", text, re.MULTILINE)) == 1
        assert ".uart_rx(" in Design(text).modules[TOP]
        pins = sum("LOCATE COMP" in line or " LOC " in line for line in constraints.splitlines())
        # Oscillator, UART, four lights at least.
        assert pins >= 7
        system._MustUse__silence = True


@pytest.mark.parametrize(("limits", "source", "wanted"), [
    (ECP5, 25e6, 50e6), (ECP5, 100e6, 80e6), (ECP5, 25e6, 80e6), (XC7, 100e6, 50e6), (XC7, 200e6, 120e6)])
def test_pll(limits, source, wanted):
    s = solve(source, wanted, limits)
    oscillator = source / s.divide_in * s.multiply
    assert limits.oscillator[0] <= oscillator <= limits.oscillator[1]
    assert limits.phase_detector[0] <= source / s.divide_in <= limits.phase_detector[1]
    assert oscillator / s.divide_out == pytest.approx(s.hz) and abs(s.hz - wanted) <= 0.01 * wanted


def test_pll_that_cannot():
    with pytest.raises(UserError, match=r"--frequency 2.9: the PLL cannot make it from 25 MHz"):
        solve(25e6, 2.9e6, ECP5)


def refused(capsys, *arguments) -> str:
    assert main(["build", *map(str, arguments)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if " s] " not in line]
    assert len(lines) == 1 and lines[0].startswith("spatten-hw: error: ")
    return lines[0]


def test_refusals(capsys, tmp_path):
    out = ("-o", tmp_path / "out")
    assert "no such board; boards: ulx3s_85f, " in refused(capsys, "--board", "ulx", *out)
    assert "has no such memory; memories: bram" in refused(capsys, "--board", "arty_a7", "--memory", "ddr", *out)
    error = refused(capsys, "--board", "ulx3s_85f", "--preset", "full", *out)
    assert "too big for LFE5U-85F" in error and "LUTs" in error and "of 83,640" in error and "lower " in error
    assert "channels" in refused(capsys, "--board", "genesys2", "--set", "channels=2",
                               "--set", "multipliers=64", *out)
    assert "a bit must last at least 4 clocks" in refused(capsys, "--board", "ulx3s_85f", "--frequency", "3", *out)
    error = refused(capsys, "--board", "ulx3s_85f", "--memory", "sdram", "--frequency", "80", *out)
    assert "the SDRAM's pins take at most 50 MHz" in error
    assert not (tmp_path / "out").exists()


def test_missing_tool_is_named_before_any_work(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTPNR_ECP5", "no-such-nextpnr")
    assert "no-such-nextpnr: there is no such command" in refused(
        capsys, "--board", "ulx3s_85f", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def record(reached: float, bitstream: str | None) -> Record:
    placements = [Placement(seed, {"clk": Clock(reached - seed, 50)}, {}, {}, read_paths(REPORT), NOTHING, Path("x"))
                  for seed in (1, 2, 3)]
    block = Block("system", {"LUT4": 7}, Utilisation(luts=7), Path("x"), NOTHING, False)
    return Record("ulx3s_85f", SMALL, BOARDS["ulx3s_85f"].device, "bram", 50, [block], placements, bitstream)


def test_missed_clock(capsys, monkeypatch, tmp_path):
    """Exit 1, the critical path, no word of a bitstream."""
    monkeypatch.setattr(building, "build", lambda *arguments: record(49, None))
    assert main(["build", "--board", "ulx3s_85f", "-o", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "MISSED: no seed reaches 50 MHz" in text and "48.0 (seed 1), 47.0 (seed 2), 46.0 (seed 3)" in text
    assert "writer.builder.locked → writer.builder.held" in text and "wrote ulx3s_85f.bit" not in text


def stuck(made: Record, *seeds: int) -> Record:
    return replace(made, placements=[replace(p, stuck="no routing: 700 wires") if p.seed in seeds else p
                                     for p in made.placements])


def test_no_seed_is_routed(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(building, "build", lambda *arguments: stuck(record(60, None), 1, 2, 3))
    assert main(["build", "--board", "ulx3s_85f", "-o", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "NOT ROUTED: no seed is" in text and "59.0 (seed 1, placed, not routed)" in text
    assert "seed 2: no routing: 700 wires" in text and "MISSED" not in text


def test_how_often_a_seed_was_routed_is_told():
    made = record(52.5, "ulx3s_85f.bit")
    made = replace(made, placements=[replace(made.placements[0], routings=(49.0, 51.5)), *made.placements[1:]])
    assert "51.5 (seed 1, best of 2 routings), 50.5 (seed 2), " in made.text()


def test_a_stuck_seed_is_never_the_best():
    made = stuck(record(52.5, "ulx3s_85f.bit"), 1)
    assert made.best.seed == 2 and made.met
    assert stuck(made, 2).best.seed == 3 and stuck(made, 2).met is False


@pytest.mark.parametrize(("board", "options", "config", "said"), [
    ("ulx3s_85f", ["--set", "max_tokens=256", "--set", "sram_tokens=256"],
     SMALL.replace(max_tokens=256, sram_tokens=256), "with the options of its configuration"),
    ("genesys2", [], SMALL, "--port DEVICE --preset small\n")])
def test_met_clock(capsys, monkeypatch, tmp_path, board, options, config, said):
    """What is built by default, and how a workload is then run on it: the configuration's hash must be the same."""
    built = []
    monkeypatch.setattr(building, "build", lambda *args: built.append(args) or record(52.5, "ulx3s_85f.bit"))
    assert main(["build", "--board", board, "-o", str(tmp_path), *options]) == 0
    text = capsys.readouterr().out
    assert "wrote ulx3s_85f.bit" in text and said in text and built[0][1].hash == config.hash


@pytest.mark.parametrize(("options", "jobs"), [([], processors()), (["--jobs", "7"], 7)])
def test_tools_at_a_time(monkeypatch, tmp_path, options, jobs):
    built = []
    monkeypatch.setattr(building, "build", lambda *args: built.append(args) or record(52.5, "ulx3s_85f.bit"))
    assert main(["build", "--board", "ulx3s_85f", "-o", str(tmp_path), *options]) == 0
    assert built[0][-1] == jobs


def test_record(tmp_path):
    """One seed that meets the clock is enough; what is kept says which seeds do."""
    made = record(52.5, "ulx3s_85f.bit")
    assert made.met and made.best.seed == 1 and made.reached == [51.5, 50.5, 49.5]
    made = replace(made, jobs=2, elapsed=60.04)
    assert "0 s of processor time, 60 s of the clock, 2 at a time; at most 0 MB each" in made.text()
    made.write(tmp_path / "build.json")
    kept = json.loads((tmp_path / "build.json").read_text())
    assert [p["met"] for p in kept["placements"]] == [True, True, False] and kept["met"]
    assert (kept["jobs"], kept["elapsed_seconds"]) == (2, 60.0)
    assert kept["utilisation"]["luts"] == 7 and kept["blocks"]["system"]["cells"] == {"LUT4": 7}
    assert kept["placements"][0]["critical_paths"][0]["unit"] == "writer"
    assert FAMILIES["ecp5"] is made.device.family and BoardTop is building.BoardTop
