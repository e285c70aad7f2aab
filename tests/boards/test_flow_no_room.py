"""Builds for boards on disks without room and in paths with spaces."""

import errno
import os
import sys
from pathlib import Path

import pytest

import spatten_hw.boards.build as building
from spatten_hw.boards.flow.blocks import Design
from spatten_hw.boards.flow.families import FAMILIES
from spatten_hw.boards.flow.standard_cells import Liberty
from spatten_hw.boards.flow.synthesis import join, synthesise
from spatten_hw.boards.flow.tools import NoRoom, run_tool
from spatten_hw.cli import main
from spatten_hw.errors import UserError
from tests.boards.captured import LIBERTY
from tests.boards.test_flow_build import record
from tests.disk import file_limit, files, full

GATE = Design("module gate(a, b, y);\n  input a, b;\n  output y;\n  assign y = a & b;\nendmodule\n")


def test_a_tool_on_a_full_disk(tmp_path, monkeypatch):
    full(monkeypatch, tmp_path)
    with pytest.raises(NoRoom, match=r"^place failed \(exit code 3\): the file system .* is full; make room there or "):
        run_tool([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, "place.log")
    assert run_tool([sys.executable, "-c", ""], tmp_path, "fine.log").seconds >= 0


def test_synthesis_leaves_nothing_in_the_cache(tmp_path, monkeypatch):
    with file_limit(10), pytest.raises(NoRoom, match=r"part-.*: cannot be written \(File too large\)"):
        synthesise(GATE, "gate", FAMILIES["ecp5"], tmp_path)
    assert files(tmp_path) == []
    full(monkeypatch, tmp_path)
    with pytest.raises(NoRoom, match="yosys failed"):
        synthesise(Design("module gate();\n  assign = 1;\nendmodule\n"), "gate", FAMILIES["ecp5"], tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("error", [NoRoom("yosys failed: full"), OSError(errno.ENOSPC, "No space left on device")])
def test_a_build_leaves_nothing(error, tmp_path, monkeypatch, capsys):
    """Neither the folder of tools nor the one that was made for the bitstream; but what else was in it."""
    def fails(board, config, design, constraints, kind, clock_hz, seeds, folder, *_):
        (folder / "work" / "netlist.json").write_text("x")
        raise error
    monkeypatch.setattr(building, "_build", fails)
    monkeypatch.setattr(building, "to_verilog", lambda *_: "")
    monkeypatch.setattr(building, "board_verilog", lambda *_: ("", ""))
    for out in ("new/one", "old"):
        if out == "old":
            (tmp_path / "old").mkdir()
            (tmp_path / "old" / "notes").write_text("mine")
        assert main(["build", "--board", "ulx3s_85f", "-o", str(tmp_path / out)]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("spatten-hw: error: ") and (str(error) in last or "No space left on device" in last)
    assert files(tmp_path) == ["old", "old/notes"]


def test_where_nothing_can_be_built(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "out" / "build.json").mkdir(parents=True)
    for out, word in (("file", "is not a folder"), ("file/below", "not a writable folder"),
                      ("out", "build.json: is a folder")):
        assert main(["build", "--board", "ulx3s_85f", "-o", str(tmp_path / out)]) == 2
        assert word in capsys.readouterr().err.splitlines()[-1]
    assert files(tmp_path) == ["file", "out", "out/build.json"]


def test_the_record_is_whole_or_absent(tmp_path):
    with file_limit(100), pytest.raises(UserError, match=r"build\.json: cannot be written"):
        record(52.5, None).write(tmp_path / "build.json")
    assert files(tmp_path) == []


def test_paths_with_spaces(tmp_path):
    """The cache of netlists, the folder of the build and a Liberty file, named in Yosys' scripts."""
    place = tmp_path / "a path {with} spaces"
    block = synthesise(GATE, "gate", FAMILIES["ecp5"], place / "cache")
    (place / "work").mkdir()
    netlist, _ = join([block], "gate", FAMILIES["ecp5"], place / "work")
    assert netlist.stat().st_size and block.utilisation.luts == 1
    (place / "few cells.lib").write_text(LIBERTY)
    cells = Liberty(place / "few cells.lib")
    assert cells.gates(synthesise(GATE, "gate", cells.family, place / "cache").cells) == (8 + 4) / 8


def test_the_working_folder_is_not_assumed(tmp_path, monkeypatch):
    """A relative build folder is the same after a change of directory."""
    from spatten_hw.sim.harness.kept import build_dir

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPATTEN_BUILD", "cache")
    assert build_dir() == Path(os.getcwd()) / "cache"
