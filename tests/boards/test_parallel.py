"""Tools beside each other: results in order, nothing left running after a failure, the same with any number of jobs."""

import json
import sys
import time

import pytest

from spatten_hw.boards.flow import synthesis
from spatten_hw.boards.flow.blocks import Design
from spatten_hw.boards.flow.families import FAMILIES
from spatten_hw.boards.flow.parallel import processors, side_by_side
from spatten_hw.boards.flow.tools import NOTHING, STOP, ToolError, run_tool

#: Seconds that a tool takes which is to be ended; a test that waits for it fails.
LONG = 600


def tool(folder, name, program):
    return run_tool([sys.executable, "-c", program], folder, f"{name}.log")


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_order(jobs, tmp_path):
    """Whatever ends first."""
    def work(n):
        tool(tmp_path, n, f"import time; time.sleep({0.3 - 0.1 * n})")
        return n * n

    assert side_by_side(work, range(3), jobs) == [0, 1, 4]
    assert side_by_side(work, [], jobs) == []
    assert STOP.get() is None and processors() >= 1


def test_as_many_as_asked_for(tmp_path):
    """Each of two tools waits for the other: one at a time, they would not end."""
    program = ("import pathlib, sys, time; pathlib.Path('{0}').touch(); end = time.monotonic() + 30\n"
               "while not pathlib.Path('{1}').exists():\n    assert time.monotonic() < end\n    time.sleep(0.1)")
    side_by_side(lambda n: tool(tmp_path, n, program.format(n, 1 - n)), range(2), 2)


@pytest.mark.parametrize("error", [ToolError, KeyboardInterrupt])
@pytest.mark.parametrize("watch", [None, lambda: None], ids=["alone", "watched"])
def test_one_failure_ends_all(error, watch, tmp_path):
    """Tools that run are killed, what waits does not begin; the failure is told, not that others were stopped."""
    begun = []

    def work(n):
        begun.append(n)
        if n == 1:
            time.sleep(0.3)
            raise error("no room")
        run_tool([sys.executable, "-c", f"import time; time.sleep({LONG})"], tmp_path, f"{n}.log", watch)

    start = time.monotonic()
    with pytest.raises(error, match="no room"):
        side_by_side(work, range(5), 2)
    assert time.monotonic() - start < LONG / 10 and sorted(begun) == [0, 1]


@pytest.mark.parametrize("complete", [True, False])
def test_the_same_block_twice_at_once(complete, monkeypatch, tmp_path):
    """Somebody else has made the block meanwhile: theirs stays. A folder that is not complete is replaced."""
    def made(folder, luts, whole):
        (folder / "stat.json").write_text(json.dumps({"design": {"num_cells_by_type": {"LUT4": luts}}}))
        if whole:
            (folder / "usage.json").write_text(json.dumps(vars(NOTHING)))

    def run(design, module, inside, edge, family, part):
        if (tmp_path / "cache") in part.parents:
            name, = (folder.name for folder in (tmp_path / "first").iterdir())
            (part.parent / name).mkdir()
            made(part.parent / name, 2, complete)
        made(part, 1, False)
        return NOTHING

    monkeypatch.setattr(synthesis, "_run", run)
    design = Design("module one(a);\n  input a;\nendmodule\n")
    assert synthesis.synthesise(design, "one", FAMILIES["ecp5"], tmp_path / "first").cells == {"LUT4": 1}
    block = synthesis.synthesise(design, "one", FAMILIES["ecp5"], tmp_path / "cache")
    assert block.cells == {"LUT4": 2 if complete else 1} and len(list((tmp_path / "cache").iterdir())) == 1
