"""What commands write is whole or absent, on a full disk too; which one is full is said in one line."""

import ast
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spatten_hw import generate, output
from spatten_hw.cli import main
from spatten_hw.errors import UserError
from spatten_hw.sim.bench.area_history import Commit, append
from spatten_hw.sim.bench.options import check_json, write_json
from spatten_hw.sim.evaluate.store import Store
from spatten_hw.sim.models.gpt.model import random_gpt, save_gpt
from tests.disk import file_limit, files, full
from tests.host.malformed import good, save

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def no_room(place):
    """What a disk without room says."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


#: Verilog that there is something to say about.
LEAST = "module spatten();\nendmodule\n"


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    text = output.cannot_write(tmp_path / "none" / "x", error)
    assert text.startswith(f"{tmp_path}/none/x: cannot be written (No space left on device: the file system ")
    assert f"the file system {output.file_system(tmp_path)} has " in text and text.endswith("or write elsewhere")
    assert os.path.ismount(output.file_system(tmp_path))
    assert "Permission denied); choose" in output.cannot_write(tmp_path, PermissionError(13, "Permission denied"),
                                                                "choose another")
    assert output.full_file_system(tmp_path) is None
    full(monkeypatch, tmp_path)
    assert output.full_file_system(ROOT, tmp_path) == tmp_path


def test_generate(folder, capsys, monkeypatch):
    """Nothing stays, not even the folders that were made for it; what was there before is as it was."""
    monkeypatch.setattr(generate, "_artefacts", lambda config, packages: dict.fromkeys(generate.FILES, f"{LEAST:5000}"))
    with file_limit(3000):
        assert main(["generate", "-o", "deep/er/out"]) == 2
    error = capsys.readouterr().err
    assert error == "spatten-hw: error: deep/er/out: cannot be written (File too large); write elsewhere\n"
    assert files(folder) == []
    assert main(["generate", "-o", "out"]) == 0
    before = files(folder)
    with file_limit(3000):
        assert main(["generate", "-o", "out"]) == 2
    assert files(folder) == before and all((folder / name).stat().st_size == 5000 for name in before if "." in name)


def test_generate_where_no_file_can_be_written(folder, capsys, monkeypatch):
    monkeypatch.setattr(generate, "_artefacts", lambda config, packages: dict.fromkeys(generate.FILES, LEAST))
    (folder / "out" / "spatten.v").mkdir(parents=True)
    assert main(["generate", "-o", "out"]) == 2
    assert "out/spatten.v: is a folder" in capsys.readouterr().err
    (folder / "link").symlink_to("nowhere")
    (folder / "other").mkdir()
    monkeypatch.setattr(generate.tempfile, "mkdtemp", lambda **_: no_room(folder))
    assert main(["generate", "-o", "other/x"]) == 2
    assert "other/x: cannot be written (No space left on device: the file system" in capsys.readouterr().err
    assert files(folder) == ["link", "other", "out", "out/spatten.v"]


@pytest.mark.parametrize("option", ["--out", "--json", "--html"])
def test_run(option, folder, capsys):
    save("w.npz", good())
    (folder / "result").write_text("before")
    with file_limit(100):
        assert main(["run", "w.npz", "--engine", "golden", option, "result"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "spatten-hw: error: result: cannot be written (File too large); write elsewhere\n"
    assert captured.out == "" and files(folder) == ["result", "w.npz"] and (folder / "result").read_text() == "before"


def test_several_outputs_are_all_there_or_none(folder):
    with file_limit(100), pytest.raises(UserError, match=r"^big: cannot be written"):
        output.write_all([(Path("small"), b"x"), (Path("big"), b"x" * 200)])
    assert files(folder) == []
    with pytest.raises(UserError, match=r"none/x: cannot be written \(No such file"):
        output.write_all([(Path("small"), b"x"), (Path("none/x"), b"")])
    assert files(folder) == []


def test_a_long_name(folder):
    name = "n" * 250
    output.write_all([(Path(name), b"x")])
    assert files(folder) == [name]
    with pytest.raises(UserError, match=r"cannot be written \(File name too long"):
        output.write_all([(Path("n" * 256), b"x")])


def test_an_interrupt_leaves_nothing(folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(output.os, "chmod", interrupted)
    with pytest.raises(KeyboardInterrupt):
        output.write_all([(Path("a"), b"x")])
    with pytest.raises(KeyboardInterrupt), output.new_folders(folder / "b" / "c"):
        interrupted()
    assert files(folder) == []


def test_benches(folder):
    for path in (None, Path("o.json")):
        check_json(path)
    with pytest.raises(UserError, match=r"no folder none"):
        check_json(Path("none/o.json"))
    with file_limit(100), pytest.raises(UserError, match=r"o\.json: cannot be written"):
        write_json(Path("o.json"), {"x": "x" * 200})
    with file_limit(20), pytest.raises(UserError, match=r"h\.json: cannot be written"):
        append(Path("h.json"), Commit("abc", "today", False), {"a/b": 1.0}, {"a/b": "smaller"})
    assert files(folder) == []


def test_evaluate_keeps_what_it_has(folder):
    """A result that does not fit is an error; those before it are read again, and the next begins a line of its own."""
    store = Store(Path("points.jsonl"))
    store.put("one", {"loss": 1})
    with file_limit(60), pytest.raises(UserError, match=r"points\.jsonl: cannot be written"):
        store.put("two", {"loss": 2, "text": "x" * 100})
    again = Store(Path("points.jsonl"))
    assert again.results == {"one": {"loss": 1}}
    again.put("three", {"loss": 3})
    assert set(Store(Path("points.jsonl")).results) == {"one", "three"}
    with (folder / "points.jsonl").open("ab") as file:
        file.write(b"\xff\x00\n")
    assert set(Store(Path("points.jsonl")).results) == {"one", "three"}


def test_evaluate_where_it_cannot_write(folder, capsys):
    (folder / "file").write_text("mine")
    for place in ("file", "file/below"):
        assert main(["evaluate", "--model", "encoder", "--quick", "--no-plots", "-o", place]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"spatten-hw: error: {place}: ") and error.count("\n") == 1
    assert files(folder) == ["file"]


def test_weights(folder):
    with file_limit(1000), pytest.raises(UserError, match=r"deep/w\.npz: cannot be written"):
        save_gpt(random_gpt(1), Path("deep/w.npz"))
    assert files(folder) == []


def test_dumps_of_models(folder):
    from types import SimpleNamespace

    from spatten_hw.sim.models.huggingface.adapter import SpAttenAttention

    class Engine(SpAttenAttention):
        segments = [SimpleNamespace(name="prompt", job=lambda options: "{}", arrays=lambda: {"q": np.zeros(1000)})]

    engine = Engine(record=True)
    with file_limit(100), pytest.raises(UserError, match=r"dump/prompt\.npz: cannot be written"):
        engine.dump("dump")
    with pytest.raises(UserError, match=r"none/dump: cannot be made"):
        engine.dump("none/dump")
    (folder / "file").write_text("mine")
    with pytest.raises(UserError, match=r"file: cannot be written \(File exists"):
        engine.dump("file")
    assert files(folder) == ["file"]


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["less than a buffer", "more"])
def test_printing_to_a_full_disk(option):
    with open("/dev/full", "w") as disk:
        done = subprocess.run([sys.executable, "-m", "spatten_hw.cli", "presets", *option], stdout=disk, cwd=ROOT,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert done.stderr == ("spatten-hw: error: the standard output, or a temporary file, cannot be written: "
                           "No space left on device\n")


def test_errors_of_the_disk_without_a_writer(monkeypatch, capsys):
    """An error that names the file is one line wherever it comes from; one that names nothing is a bug."""
    def raises(error):
        def presets(args):
            raise error
        monkeypatch.setattr("spatten_hw.commands.presets.run", presets)
        return main(["presets"])

    assert raises(OSError(errno.ENOSPC, "No space left on device", "some/x")) == 2
    assert "some/x: cannot be written (No space left on device: the file system" in capsys.readouterr().err
    assert raises(PermissionError(errno.EACCES, "Permission denied", "/x")) == 2
    assert capsys.readouterr().err == "spatten-hw: error: /x: Permission denied\n"
    with pytest.raises(OSError, match="strange"):
        raises(OSError(errno.EINVAL, "strange"))


#: Who may write files by other means than `write_all`: what is made in folders that go if it fails.
WRITERS = {
    "spatten_hw/generate.py", "spatten_hw/output.py", "spatten_hw/cli.py",
    "sim/evaluate/store.py",  # appends, and reads what a full disk leaves
    "sim/harness/kept.py", "sim/harness/build.py", "sim/harness/block_build.py", "sim/harness/verilator.py",
    "sim/commands/run.py", "sim/bench/area_history.py", "sim/models/gpt/model.py",
    "sim/models/huggingface/adapter.py", "sim/evaluate/figures.py", "sim/paper/figures.py",  # into memory
    "sim/testbench/runner.py", "sim/testbench/formal.py",  # of tests
    "boards/build.py", "boards/simulation/build.py", "boards/flow/netlist.py", "boards/flow/synthesis.py",
    "boards/flow/tools.py",
    # Temporary folders.
    *(f"sim/silicon/{name}.py" for name in ("mapped", "watched", "cacti", "cacti_program", "sta", "gate_check")),
    "sim/silicon/chart.py",  # into memory
}
#: Tools of those who change this project; their users read tracebacks.
DEVELOPERS = ("sim/netlist/", "sim/nightly/", "sim/release/", "sim/soak/", "sim/testbench/", "sim/verify/",
              "sim/harness/precompiled.py", "sim/harness/variant.py", "sim/harness/job_log.py")


def writes(node):
    """Whether a call writes a file: `write_text`, `savefig`, `numpy.savez` …, or `open` with a mode that is not "r"."""
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name in ("write_text", "write_bytes", "savez", "savez_compressed", "savefig", "save", "fdopen"):
        return True
    modes = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return name == "open" and any(set(mode) & set("wax+") and len(mode) < 4 for mode in modes)


def test_nothing_else_writes():
    writers = {str(path.relative_to(ROOT)) for top in ("spatten_hw", "sim", "boards")
               for path in (ROOT / top).rglob("*.py")
               if any(writes(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))}
    assert {path for path in writers if not path.startswith(DEVELOPERS)} <= WRITERS
