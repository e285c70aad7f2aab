"""`spatten-hw run --timeline`: the trace written, the summary printed, mistakes in one line before anything runs."""

import json

import pytest

from spatten_hw.cli import main
from spatten_hw.sim.timeline import record
from tests.host.malformed import good, save
from tests.integration.builds import QUAD


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a workload and the tiny build's configuration; simulations compiled as for the other tests."""
    monkeypatch.chdir(tmp_path)
    save("w.npz", good(job={"k_bits": [8, 4], "v_bits": [8, 4], "threshold": 1.0}))
    (tmp_path / "quad.toml").write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in QUAD.fields.items()))
    return tmp_path


def test_trace_and_summary(folder, capsys):
    assert main(["run", "w.npz", "--config", "quad.toml", "--timeline", "t.json", "--json", "r.json"]) == 0
    out = capsys.readouterr().out
    assert "bit for bit" in out and "\n\ntimeline: 2 jobs, " in out
    report = json.loads((folder / "r.json").read_text())
    trace = json.loads((folder / "t.json").read_text(encoding="utf-8"))
    assert trace["otherData"]["jobs"] == len(report["layers"]) == 2
    softmax = [e["name"] for e in trace["traceEvents"] if e.get("cat") == "softmax"]
    assert sorted(softmax) == sorted(f"L{s['layer']} h{h} q{q}" for s in report["layers"]
                                     for h in range(s["heads"]) for q in range(s["tokens"]))
    flat = [e for e in trace["traceEvents"] if e.get("cat") == "decision"]
    assert len(flat) == sum(s["refetched"] for s in report["layers"]) > 0


@pytest.mark.parametrize("options, words", [
    (["--timeline", "nowhere/t.json"], ["nowhere", "create it"]), (["--timeline", "."], ["folder"]),
    (["--timeline", "w.npz"], ["w.npz", "workload itself"]), (["--timeline", "/dev/null"], ["regular file"]),
    (["--timeline", "/proc/t.json"], ["/proc", "cannot be written"]),
    (["--timeline", "x", "--json", "./x"], ["x", "two outputs"]),
    (["--timeline", "t.json", "--engine", "golden"], ["--timeline", "golden", "--engine rtl"]),
    (["--timeline", "t.json", "--engine", "float"], ["--timeline", "float"])])
def test_mistakes_are_one_line_before_anything_runs(options, words, folder, capsys, monkeypatch):
    monkeypatch.setattr(record, "VerilatedTransport", None)
    monkeypatch.setattr("spatten_hw.sim.commands.run.run_workload", None)
    before = sorted(p.name for p in folder.iterdir())
    assert main(["run", "w.npz", "--config", "quad.toml", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("spatten-hw: error: ") and all(w in captured.err for w in words), captured.err
    assert sorted(p.name for p in folder.iterdir()) == before
