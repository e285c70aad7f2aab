"""`spatten-hw cache`: lists, measures and removes what builds have kept, and nothing else."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time

import pytest

from spatten_hw.cli import main
from spatten_hw.sim.harness import cache, kept

A, B, C = "0123456789abcdef", "fedcba9876543210", "00000000000000aa"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A build folder with one of everything, in a folder that holds other things as well."""
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path))
    for name, size in {
        f"lib/{A}.so": 1000, f"lib/{A}.lock": 0, f"lib/block-{B}.so": 500, f"lib/{C}.key": 19, f"lib/{B}.log": 7,
        f"lib/{C}.build/obj/x.o": 70, f"lib/{A}.4711": 3, "lib/runtime-5.48.0-0-1/verilated.o": 11,
        "runtime2-0/verilated.o": 12, f"bench/{A}/done": 5, "synthesis/ecp5-Yosys_0.60-3-abcdef01/usage.json": 20,
        "synthesis/part-x1/log": 4, f"digests/{A}": 12, f"gpt/{A}.npz": 900,
        "lib/libc.so": 1, "lib/notes.log": 1, "thesis.tex": 1, "bench/mine/x": 1, "gpt/weights.npz": 1,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    old = time.time() - 2 * cache.YOUNG
    os.utime(tmp_path / "synthesis/part-x1", (old, old))
    return tmp_path


OTHERS = {"lib/libc.so", "lib/notes.log", "thesis.tex", "bench/mine/x", "gpt/weights.npz"}


def left(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def as_json(capsys, *arguments):
    assert main(["cache", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_lists_and_measures(folder, capsys):
    before = left(folder)
    told = as_json(capsys)
    assert told["folder"] == str(folder) and not told["cleared"] and told["in_use"] == []
    assert {kind: (k["entries"], k["bytes"]) for kind, k in told["kinds"].items()} == {
        "leftovers": (4, 7 + 70 + 3 + 4), "simulations": (4, 1519), "runtimes": (2, 23), "benches": (1, 5),
        "netlists": (1, 20), "digests": (1, 12), "models": (1, 900)}
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(folder) and [line.split()[0] for line in lines[2:]] == [*cache.KINDS, "all"]
    assert left(folder) == before


def test_clears_all_but_models(folder, capsys):
    told = as_json(capsys, "--clear")
    assert told["cleared"] and told["kinds"]["simulations"]["entries"] == 4
    assert left(folder) == OTHERS | {f"gpt/{A}.npz"}
    as_json(capsys, "--clear", "models")
    assert left(folder) == OTHERS


def test_clears_what_is_named(folder, capsys):
    before = left(folder)
    as_json(capsys, "--clear", "leftovers")
    assert before - left(folder) == {f"lib/{B}.log", f"lib/{C}.build/obj/x.o", f"lib/{A}.4711", "synthesis/part-x1/log"}


def test_what_is_being_built_stays(folder, capsys):
    (folder / f"lib/{C}.lock").touch()
    with (folder / f"lib/{C}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["cache", "--clear"]) == 0
        assert f"{folder}/lib/{C}.build: is being built, and stays" in capsys.readouterr().out
    assert {f"lib/{C}.build/obj/x.o", f"lib/{C}.lock", f"lib/{C}.key"} <= left(folder)


def test_what_has_no_lock_stays_while_it_may_be_somebodys(folder, capsys):
    """A netlist and a test bench that are not complete, and what builds share."""
    now = time.time()
    os.utime(folder / "synthesis/part-x1", (now, now))
    (folder / f"bench/{A}/done").rename(folder / f"bench/{A}/top.v")
    told = as_json(capsys, "--clear")
    assert {f"{folder}/synthesis/part-x1", f"{folder}/bench/{A}", f"{folder}/runtime2-0"} <= set(told["in_use"])
    assert {"synthesis/part-x1/log", f"bench/{A}/top.v", "runtime2-0/verilated.o"} <= left(folder)
    old = now - 2 * cache.YOUNG
    for name in ("synthesis/part-x1", f"bench/{A}"):
        os.utime(folder / name, (old, old))
    assert as_json(capsys, "--clear")["in_use"] == [] and left(folder) == OTHERS | {f"gpt/{A}.npz"}


def test_what_builds_share_stays_while_one_is_compiled(folder, capsys):
    with (folder / f"lib/{A}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        as_json(capsys, "--clear", "runtimes")
    assert {"lib/runtime-5.48.0-0-1/verilated.o", "runtime2-0/verilated.o"} <= left(folder)
    as_json(capsys, "--clear", "runtimes")
    assert not {"lib/runtime-5.48.0-0-1/verilated.o", "runtime2-0/verilated.o"} & left(folder)


def test_work_elsewhere_goes_too(folder, tmp_path_factory, capsys):
    """Where make cannot use the path of the build folder, work lies elsewhere and a link leads there."""
    elsewhere = tmp_path_factory.mktemp("work")
    (folder / f"lib/{B}.build").symlink_to(elsewhere)
    as_json(capsys, "--clear", "leftovers")
    assert not elsewhere.exists() and not (folder / f"lib/{B}.build").is_symlink()


def test_whoever_waited_for_a_removed_lock_takes_a_new_one(tmp_path):
    path = tmp_path / "a.lock"
    waits = ("import sys; from pathlib import Path; from spatten_hw.sim.harness.kept import locked\n"
             "with locked(Path(sys.argv[1])): print(Path(sys.argv[1]).exists())")
    with kept.locked(path):
        other = subprocess.Popen([sys.executable, "-c", waits, str(path)], stdout=subprocess.PIPE, text=True,
                                 env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        with contextlib.suppress(subprocess.TimeoutExpired):
            other.wait(timeout=2)
        path.unlink()
    assert other.communicate(timeout=60)[0] == "True\n"


def test_no_folder_and_a_file_in_its_place(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path / "none"))
    assert as_json(capsys)["kinds"]["simulations"]["entries"] == 0 and not (tmp_path / "none").exists()
    (tmp_path / "none").write_text("a file")
    assert main(["cache", "--clear"]) == 0


@pytest.mark.skipif(os.getuid() == 0, reason="root may remove everything")
def test_what_cannot_be_removed(folder, capsys):
    (folder / "digests").chmod(0o500)
    assert main(["cache", "--clear", "digests"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    (folder / "digests").chmod(0o700)


def test_an_unknown_kind(folder, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["cache", "--clear", "everything"])
    assert len(capsys.readouterr().err.splitlines()) == 1
