"""`spatten-hw generate-text`: text to stdout as it comes, statistics, files, one line for what is wrong."""

import json

import pytest

from spatten_hw import cli
from spatten_hw.presets import SMALL
from spatten_hw.sim.commands import generate_text
from spatten_hw.sim.models.decoder.sampling import Sampler, generate
from spatten_hw.sim.models.decoder.session import Session
from spatten_hw.sim.models.engines import GoldenEngine
from spatten_hw.sim.models.gpt.model import random_gpt, save_gpt
from spatten_hw.sim.models.gpt.vocabulary import decode, encode

PROMPT = "import this\n"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "gpt.npz"
    save_gpt(random_gpt(21, layers=2, heads=4, dim=32, context=48), path)
    return path


@pytest.fixture
def run(capsys, weights):
    def call(*args, engine="golden", prompt=PROMPT):
        code = cli.main(["generate-text", "--weights", str(weights), "--engine", engine, "--prompt", prompt,
                         *map(str, args)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err
    return call


def test_text_then_statistics(run, tmp_path):
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    code, text, err = run("--tokens", 10, "--keep-tokens", 0.5, "--keep-heads", 0.5, "--keep-values", 0.5, "--k-bits",
                          "6+4", "--protect-last", 1, "--v-bits", 8, "--threshold", 0.9, "--json", out, "--html", page)
    assert code == 0 and "10/10 characters" in err
    data = json.loads(out.read_text())
    assert text.startswith(PROMPT + data["text"] + "\n12 characters of prompt, 10 generated")
    assert len(data["text"]) == 10 and data["engine"] == "golden" and data["bit_exact"] is None
    assert len(data["layers"]) == 20 and data["settings"]["k_bits"] == [6, 4]
    last = data["layers"][-1]
    assert (last["tokens"], len(last["alive"]), len(last["heads"])) == (21, 11, 2)
    assert sum(data["bytes"].values()) == sum(sum(x["bytes"].values()) for x in data["layers"])
    assert data["dense_bytes"] == sum(x["dense_bytes"] for x in data["layers"])
    assert "steps: DRAM bytes" in text
    html = page.read_text()
    assert html.startswith("<!DOCTYPE html>") and "token 20" in html and "prompt" in html


def test_sampled_text_is_that_of_the_library(run, weights):
    from spatten_hw.sim.models.decoder.attention import FloatAttention
    from spatten_hw.sim.models.decoder.settings import DecoderSettings
    from spatten_hw.sim.models.gpt.model import load_gpt

    _, text, _ = run("--tokens", 12, "--temperature", 0.8, "--top-k", 5, "--seed", 3, engine="float")
    session = Session(load_gpt(weights), SMALL, DecoderSettings(), FloatAttention())
    expected = decode(generate(session, encode(PROMPT), 12, Sampler(0.8, 5, 3)))
    assert text.startswith(PROMPT + expected + "\n")
    assert "DRAM" not in text
    assert run("--tokens", 12, "--temperature", 0.8, "--top-k", 5, "--seed", 4, engine="float")[1] != text


def test_rules_save_bytes(run, tmp_path):
    moved = []
    for rules in ([], ["--lsb-margin", 1, "--keep-mass", 0.7, "--give-back"]):
        out = tmp_path / "out.json"
        assert run("--set", "decision_rules=1", "--tokens", 6, "--k-bits", "4+4", "--v-bits", 8, "--threshold", 1,
                   *rules, "--json", out)[0] == 0
        data = json.loads(out.read_text())
        moved.append({name: sum(job["bytes"][name] for job in data["layers"] if job["step"]) for name in data["bytes"]})
    assert data["settings"]["rules"] == {"lsb_margin": 1.0, "keep_mass": 0.7, "give_back": True}
    assert all((moved[1][name] < moved[0][name]) == (name in ("k_lsb", "v_msb")) for name in moved[0])


def test_schedule_file(run, tmp_path):
    file = tmp_path / "s.toml"
    file.write_text('[schedule]\nkind = "counts"\nkeep_tokens = [9, 4]\nkeep_heads = 3\n')
    code, text, _ = run("--tokens", 4, "--schedule", file, "--protect-last", 2)
    assert code == 0 and "layer 0: 9 tokens, 4 heads; layer 1: 4 tokens, 3 heads" in text


def test_hardware_that_differs(run, monkeypatch):
    class Wrong(GoldenEngine):
        mismatches = ["token 3, layer 1: surviving ids differ"]
        compared = 5

    from contextlib import nullcontext
    monkeypatch.setattr(generate_text, "make_engine", lambda name, config, status: nullcontext(Wrong(config)))
    code, text, _ = run("--tokens", 2, engine="rtl")
    assert code == 1 and "RTL DIFFERS" in text and "token 3, layer 1: surviving ids differ" in text


@pytest.mark.parametrize("args,said", [
    (["--tokens", 0], "at least 1"), (["--tokens", -4], "at least 1"), (["--tokens", 37], "context of 48"),
    (["--keep-tokens", 1.2], "keep_tokens = 1.2"), (["--keep-values", 0], "keep_values"),
    (["--k-bits", "5+4"], "k_bits"), (["--k-bits", "a"], "MSB+LSB"),
    (["--threshold", 7], "threshold"), (["--top-k", 0], "top_k"),
    (["--schedule", "none.toml"], "none.toml"), (["--schedule", "x", "--keep-heads", 0.5], "--keep-heads"),
    (["--json", "none/x"], "no folder"), (["--lsb-margin", 3], "no LSBs"), (["--keep-mass", 2], "keep_mass is 2"),
    (["--k-bits", "4+4", "--lsb-margin", 40], "0 … 22"),
    (["--tokens", 9, "--set", "max_heads=3", "--set", "max_group=1"], "max_heads"),
])
def test_bad_input_is_one_line(run, args, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    try:
        code, text, err = run(*args)
    except SystemExit as e:  # argparse
        assert e.code == 2
        return
    assert code == 2 and not text and said in err and err.count("\n") == 1


@pytest.mark.parametrize("prompt,said", [("", "empty"), ("naïve", "'ï' (LATIN SMALL LETTER I WITH DIAERESIS)"),
                                         ("x" * 49, "context of 48")])
def test_bad_prompts(run, prompt, said):
    code, text, err = run("--tokens", 1, prompt=prompt)
    assert code == 2 and not text and said in err and err.count("\n") == 1


def test_no_weights(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path))
    assert cli.main(["generate-text", "--prompt", "x"]) == 2
    assert "make gpt" in capsys.readouterr().err
