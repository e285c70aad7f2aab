"""The command: table, resumption, plots, page; the examples of the docs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spatten_hw.cli import main

pa = pytest.importorskip("pyarrow.parquet", reason="pip install 'spatten-hw[sweep]'")
pytest.importorskip("matplotlib", reason="pip install 'spatten-hw[sweep]'")
ROOT = Path(__file__).resolve().parents[2]
TEXT = """\
measure = ["model", "area"]
[config]
preset = "eighth"
channels = [1, 2, 3]
[workload]
tokens = [64, 256]
[policy]
keep = [0.2, 1.0]
[memory]
name = ["perfect", "hbm2"]
[area]
by = "law"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(TEXT)
    return tmp_path


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without_times(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_a_sweep(folder, capsys):
    assert main(["sweep", "s.toml", "-o", "out", "--workers", "1", "--json", "s.json"]) == 0
    said = capsys.readouterr()
    assert "s: 24 points, 16 ok, 8 refused, 0 failed" in said.out and "18/18 measurements" in said.err
    rows = table(folder / "out/table.csv")
    assert len(rows) == 24 and {row["status"] for row in rows} == {"ok", "refused"}
    assert all(row["reason"].startswith("model, area: channels = 3: must be a power of two") and not row["model_cycles"]
               for row in rows if row["status"] == "refused")
    good = [row for row in rows if row["status"] == "ok"]
    assert all(float(row["model_cycles"]) > 0 and float(row["area_luts"]) > 0 and row["model_digest"] for row in good)
    assert {row["memory"] for row in good} == {"perfect", "hbm2"} and {row["tokens"] for row in good} == {"64", "256"}
    read = pa.read_table(folder / "out/table.parquet")
    assert read.schema.metadata[b"sweep"] == b"s" and read.column_names == list(rows[0])
    assert [str(x) for x in read["point"].to_pylist()] == [row["point"] for row in rows]
    for name in ("model_cycles", "area_luts", "keep"):
        assert [x for x in read[name].to_pylist() if x is not None] == [float(r[name]) for r in rows if r[name]]
    report = json.loads((folder / "s.json").read_text())
    assert (report["points"], report["ok"], report["refused"], report["failed"]) == (24, 16, 8, 0)
    assert all(front["points"] for front in report["pareto"]) and len(report["pareto"]) >= 4
    names = {path.name for path in (folder / "out").iterdir()}
    assert {"table.csv", "table.parquet", "sweep.html", "points.jsonl", "pareto-model_us-area_luts.svg"} <= names


def test_again_measures_nothing(folder, capsys):
    assert main(["sweep", "s.toml", "-o", "out", "--workers", "1", "--no-plots"]) == 0
    lines, rows = (folder / "out/points.jsonl").read_bytes(), table(folder / "out/table.csv")
    assert main(["sweep", "s.toml", "-o", "out", "--workers", "1", "--no-plots"]) == 0
    assert (folder / "out/points.jsonl").read_bytes() == lines and table(folder / "out/table.csv") == rows
    (folder / "s.toml").write_text(TEXT.replace("[64, 256]", "[64, 256, 512]"))
    assert main(["sweep", "s.toml", "-o", "out", "--workers", "1", "--no-plots"]) == 0
    assert (folder / "out/points.jsonl").read_bytes().count(b"\n") == lines.count(b"\n") + 8
    assert not list(folder.glob("out/*.svg"))


def start(folder, *words):
    return subprocess.Popen([sys.executable, "-m", "spatten_hw.cli", "sweep", *words], cwd=folder,
                            env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def until(there, seconds=60):
    end = time.monotonic() + seconds
    while not there() and time.monotonic() < end:
        time.sleep(0.02)
    assert there()


def test_a_killed_sweep_goes_on(folder):
    (folder / "s.toml").write_text("draws = 600\n" + TEXT.replace("[0.2, 1.0]", "{from = 0.1, to = 1.0}"))
    points = folder / "out/points.jsonl"
    for how, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        before = points.stat().st_size if points.exists() else 0
        process = start(folder, "s.toml", "-o", "out", "--workers", "2", "--no-plots")
        until(lambda before=before: points.exists() and points.stat().st_size > before + 100)
        process.send_signal(how)
        _, error = process.communicate(timeout=30)
        assert process.returncode == code and "Traceback" not in error
        assert not (folder / "out/table.csv").exists()
    kept = points.read_bytes().splitlines()
    process = start(folder, "s.toml", "-o", "out", "--workers", "2", "--no-plots")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    rows = table(folder / "out/table.csv")
    assert len(rows) == 600 and all(row["model_cycles"] for row in rows if row["status"] == "ok")
    keys = [json.loads(line)["key"] for line in points.read_bytes().splitlines()]
    assert len(set(keys)) == len(keys) > len(kept) > 0


BAD = {
    "points.jsonl of others": ("points.jsonl, line 1: is no result of a sweep", {"out/points.jsonl": "a,b\n1,2\n"}, []),
    "folder is a file": ("out: is not a folder", {"out": "mine"}, []),
    "no scheduler": ("--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there", {},
                     ["--scheduler", "tcp://127.0.0.1:9"]),
    "no address": ("nonsense://x: is no address; give tcp://HOST:PORT", {}, ["--scheduler", "nonsense://x"]),
    "both": ("not allowed with argument", {}, ["--scheduler", "tcp://a:1", "--workers", "2"]),
    "json": ("none/x.json: there is no folder none", {}, ["--json", "none/x.json"]),
    "onto itself": ("s.toml: is the workload itself", {}, ["--json", "s.toml"]),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_one_line(name, folder, capsys):
    says, files, words = BAD[name]
    if "--scheduler" in words:
        pytest.importorskip("distributed", reason="pip install 'spatten-hw[sweep]'")
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    try:
        code = main(["sweep", "s.toml", "-o", "out", *words])
    except SystemExit as end:
        code = end.code
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("spatten-hw")]
    assert code == 2 and len(error) == 1 and says in error[0]
    assert all((folder / path).read_text() == text for path, text in files.items())
    assert not (folder / "out/table.csv").exists()


def test_a_package_that_is_missing_is_named(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["sweep", "s.toml", "-o", "out"]) == 2
    assert "needs the package pyarrow, which is not installed; install with: pip install 'spatten-hw[sweep]'" in (
        capsys.readouterr().err)


def test_list(folder, capsys):
    assert main(["sweep", "s.toml", "--list"]) == 0
    said = capsys.readouterr().out
    assert "24 points, 18 measurements: 16 model, 2 area" in said and "(8): channels = 3: must be a power of" in said
    assert not (folder / "build").exists()


def test_requests(folder, capsys):
    """A row of the authors' format per request; a build that cannot run it says why, the other goes on."""
    header = ("iteration_id,layer_id,head_id,embedding_length_D,sentence_length_L,key_fetch_num,quant_key_bit,"
              "quant_query_bit,auto_requant_thres,if_requant,auto_requant_incre,value_fetch_num,quant_value_bit")
    rows = [f"0,{layer},{head},64,100,80,4,12,0.05,{head % 2 == 0},4,20,4" for layer in range(3) for head in range(4)]
    (folder / "asked.csv").write_text("\n".join([header, *rows]))
    (folder / "s.toml").write_text('[config]\npreset = ["small", "eighth"]\n[workload]\nrequests = "asked.csv"\n'
                                   'order = ["file", "gathered"]\n')
    assert main(["sweep", "s.toml", "-o", "out", "--workers", "1", "--no-plots"]) == 0
    found = table(folder / "out/table.csv")
    assert [row["status"] for row in found] == ["refused", "refused", "ok", "ok"]
    assert "asked.csv, line 2: embedding_length_D is '64'" in found[0]["reason"]
    # Gathered: one job of twelve heads instead of three of four.
    assert found[3]["workload"] == "asked-gathered" and float(found[3]["model_cycles"]) > 0


@pytest.mark.parametrize(("first", "more", "says"), [
    ('name = "a\\u0000b"\n', [], "name = 'a\\x00b': must name a folder of results"),
    (f'name = "{"x" * 300}"\n', [], "must name a folder of results: printable, at most 200 bytes"),
    ("draws = 1000000000000\n", ["--list"], "draws = 1,000,000,000,000: at most 1,000,000 points"),
    ("", ["-o", "out", "--json", "out/points.jsonl"], "--json out/points.jsonl: lies among the results in out"),
    ("", ["-o", "taken"], "taken/table.csv: is a folder, a file is to be written there"),
    ("", ["--scheduler", "foo"], "--scheduler foo: is no address; give tcp://HOST:PORT"),
], ids=["NUL", "long", "draws", "json", "folder", "scheduler"])
def test_what_would_fail_late(first, more, says, folder, capfd):
    """Refused before anything is measured, in a line; results that were there stay."""
    (folder / "s.toml").write_text(first + TEXT)
    (folder / "out").mkdir()
    (folder / "out/points.jsonl").write_text("")
    (folder / "taken/table.csv").mkdir(parents=True)
    if "--scheduler" in more:
        pytest.importorskip("distributed")
    assert main(["sweep", "s.toml", *more]) == 2
    said = capfd.readouterr().err.splitlines()
    assert says in said[-1] and not any("Traceback" in line or "measurements" in line for line in said)
    assert not (folder / "build").exists() and list((folder / "out").iterdir()) == [folder / "out/points.jsonl"]
    assert not (folder / "taken/points.jsonl").exists()
