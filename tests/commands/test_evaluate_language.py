"""`spatten-hw evaluate --model smollm2` end to end on a tiny Llama in a file, and what it refuses."""

from __future__ import annotations

import json

import pytest

from spatten_hw.cli import main
from spatten_hw.sim.models.llama import gguf_file
from tests.models.llama.tiny import tiny_model, write_gguf

POINTS = """
[[point]]
model = "smollm2"
bits = 8
q_bits = 12
v_bits = 4
k_scale = "channel"
v_scale = "channel"
[[point]]
model = "smollm2"
bits = [4, 4]
q_bits = 12
v_bits = 4
threshold = 1
lsb_margin = 3
keep_mass = 0.9
give_back = true
[[point]]
model = "smollm2"
bits = 8
evict = "snapkv"
cache = 40
"""
FLOATS = """
[[point]]
model = "smollm2"
bits = "float"
[[point]]
model = "smollm2"
evict = "h2o"
cache = 40
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    """The command on preset small with the rules."""
    file = write_gguf(tmp_path / "tiny.gguf", tiny_model())
    monkeypatch.setattr(gguf_file, "default_file", lambda: file)

    def run(*more, points=POINTS):
        path = tmp_path / "points.toml"
        path.write_text(points)
        return main(["evaluate", "--model", "smollm2", "--points", str(path), "--workers", "1", "--no-plots",
                     "--preset", "small", "--set", "decision_rules=1", "-o", str(tmp_path / "out"), *map(str, more)])
    run.out = tmp_path / "out" / "evaluate.json"
    return run


def test_perplexity(call, capsys):
    assert call("--windows", 3, "--context", 96, "--steps", 12) == 0
    model = json.loads(call.out.read_text())["models"]["smollm2"]
    assert (model["windows"], model["prompt"], model["predictions"], model["tokens"]) == (3, 84, 36, 288)
    static, rules, evicted, exact = model["points"]
    assert exact["loss"] == 0 and "byte_ratio" not in exact
    for point in (static, rules, evicted):
        low, high = point["loss_interval"]
        assert low <= point["loss"] <= high and point["predictions"] == 36
    assert rules["byte_ratio"] < static["byte_ratio"] and evicted["held"] < static["held"] == 1
    assert "95 %" in capsys.readouterr().out


def test_tasks(call):
    assert call("--tasks", "--context", 384) == 0
    points = json.loads(call.out.read_text())["models"]["smollm2"]["points"]
    assert all(set(p["by_task"]) == {"needle", "key-value", "variables", "common"} for p in points)
    assert points[0]["loss"] == points[-1]["exact"] - points[0]["exact"]


@pytest.mark.parametrize("arguments,message", [
    (["--tasks", "--context", 100], "--context 100: tasks need at least 192 tokens"),
    (["--tasks", "--steps", 9], "--tasks has texts, answers and depths of its own"),
    (["--context", 40, "--steps", 40], "--steps 40: a window has 40 tokens"),
    (["--context", 4000], "--context 4000: model and build 'custom' have 512 tokens at most"),
    (["--context", 500, "--steps", 12, "--set", "sram_tokens=64"], "--context 500: prompts of 488 tokens, the K/V "),
    (["--windows", 10 ** 6, "--context", 96, "--steps", 12], "--windows 1000000: the text has"),
])
def test_bad_input(call, arguments, message, capsys):
    assert call(*arguments) == 2
    assert message in capsys.readouterr().err and not call.out.exists()


def test_what_cannot_be_checked_on_the_verilog_is_refused_before_anything_is_measured(call, capsys):
    assert call("--rtl-check", 1, points=FLOATS) == 2
    assert "none of the points can be checked" in capsys.readouterr().err and not call.out.exists()


def test_options_of_the_language_model_alone(capsys):
    for option in (["--tasks"], ["--steps", "9"], ["--context", "96"]):
        assert main(["evaluate", "--model", "decoder", *option]) == 2
        assert "are of --model smollm2" in capsys.readouterr().err
