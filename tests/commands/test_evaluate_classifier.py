"""`spatten-hw evaluate --model classifier` end to end on a tiny model in files, and what it refuses."""

from __future__ import annotations

import json

import pytest

from spatten_hw.cli import main
from spatten_hw.sim.evaluate import labelled
from spatten_hw.sim.models.nanoguard import package
from tests.models.nanoguard.tiny import tiny_model, write_files

pytest.importorskip("torch")
pytest.importorskip("tiktoken")

WORDS = ("the", "ant", "and", "then", "another", "thing", "than", "that", "with", "the", "other", "hand")
#: Two of them are longer than the model takes.
ROWS = [{"text": " ".join(WORDS[n % 5:n % 5 + 2 + n % 7] * (20 if n in (4, 9) else 1)),
         "label": ("benign", "malicious")[n % 3 > 0]} for n in range(12)]
POINTS = """
[[point]]
model = "classifier"
bits = 8
[[point]]
model = "classifier"
bits = [6, 4]
threshold = 0.5
keep_tokens = 0.6
front_tokens = 0
[[point]]
model = "classifier"
bits = [6, 4]
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    files = write_files(tmp_path, tiny_model(dim=64))
    monkeypatch.setattr(package, "default_files", lambda: files)
    (tmp_path / "points.toml").write_text(POINTS)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def run(*more, text="rows.jsonl"):
        return main(["evaluate", "--model", "classifier", "--points", str(tmp_path / "points.toml"), "--workers", "1",
                     "--text", str(tmp_path / text), "-o", str(tmp_path / "out"), *map(str, more)])
    run.folder, run.out = tmp_path, tmp_path / "out" / "evaluate.json"
    return run


def test_whole(call, capsys):
    pytest.importorskip("matplotlib")
    assert call() == 0
    printed = capsys.readouterr().out
    table = json.loads(call.out.read_text())
    model = table["models"]["classifier"]
    assert table["preset"] == "full" and model["model"].endswith("2 layers of 2 heads, D = 64")
    assert (model["texts"], model["injections"], model["cut"]) == (12, 8, 2) and model["tokens_most"] == 48
    eight, pruned, msbs, exact = model["points"]
    assert exact["loss"] == exact["flips"] == 0 and eight["logit_error"] < pruned["logit_error"]
    assert pruned["refetch_rate"] > 0 and pruned["mac_ratio"] < 1 and msbs["errors"]
    for point in (eight, pruned):
        low, high = point["loss_interval"]
        assert low <= point["loss"] <= high and point["loss"] == pytest.approx(exact["accuracy"] - point["accuracy"])
    assert "accuracy, AUC, flips" in printed and "Pareto front of 3 points" in printed
    for name in ("bytes", "computation", "progressive", "refetch", "error"):
        svg = (call.folder / "out" / f"classifier-{name}.svg").read_text()
        assert "classifier NanoGuard" in svg
    # A second run finds everything.
    stored = (call.folder / "out" / "points.jsonl").read_bytes()
    assert call() == 0 and (call.folder / "out" / "points.jsonl").read_bytes() == stored


def test_some_texts(call):
    assert call("--sentences", 5, "--no-plots") == 0
    assert json.loads(call.out.read_text())["models"]["classifier"]["texts"] == 5


@pytest.mark.parametrize("more, message", [
    (["--context", "512"], "--context, --steps, --tasks and --endless are of --model smollm2"),
    (["--tasks"], "are of --model smollm2"), (["--endless", "9"], "are of --model smollm2"),
    (["--windows", "3"], "--windows and --weights are not of --model classifier"),
    (["--weights", "x.npz"], "--windows and --weights are not of --model classifier"),
    (["--set", "max_tokens=32", "--set", "sram_tokens=32"], "the text has 48 tokens, at most 32 are possible"),
    (["--preset", "small"], "the classifier needs max_dim ≥ 64"),
    (["--text", "points.toml"], "points.toml: line 2: must be a JSON object"), (["--text", "none"], "No such file"),
    (["--sentences", "1"], "texts of one label"),
])
def test_refused(call, capsys, monkeypatch, more, message):
    monkeypatch.chdir(call.folder)
    code = call("--no-plots", *more)
    error = capsys.readouterr().err.splitlines()
    assert code == 2 and message in error[-1] and not call.out.exists()


def test_packages_that_are_missing(call, capsys, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(package, "PACKAGE", "no-such-package")
    assert call("--no-plots") == 2
    assert "pip install --no-deps metatronnanoguard==0.1.0" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setattr(labelled, "PACKAGE", "no-such-package")
    assert main(["evaluate", "--model", "classifier", "--no-plots", "-o", str(call.folder / "out")]) == 2
    assert "pip install --no-deps bastioncorpus==0.6.0" in capsys.readouterr().err.splitlines()[-1]
    assert not call.out.exists()
