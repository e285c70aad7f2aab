"""`spatten-hw chat`: answers on every engine, statistics, files, conversations, one line for what is wrong."""

import json

import pytest

from spatten_hw import cli
from spatten_hw.sim.commands import chat
from spatten_hw.sim.models.decoder.policies import POLICIES
from spatten_hw.sim.models.eviction.policy import EVICTIONS

from ..models.llama.tiny import tiny_model, write_gguf

PROMPT = "the ant"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", tiny_model())


@pytest.fixture
def run(capsys, model):
    def call(*args, engine="golden", prompt=PROMPT, preset="small"):
        rules = [] if "static" in args else ["--set", "decision_rules=1"]     # the other policies need them
        asked = [] if prompt is None else ["--prompt", prompt]
        code = cli.main(["chat", "--model", str(model), "--engine", engine, "--preset", preset, *rules,
                         *asked, *map(str, args)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err
    return call


@pytest.mark.parametrize("policy", POLICIES)
def test_an_answer_and_its_statistics(run, policy, tmp_path):
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    code, text, _ = run("--tokens", 6, "--policy", policy, "--json", out, "--html", page)
    data = json.loads(out.read_text())
    assert code == 0 and "tokens of prompt, " in text and "steps: DRAM bytes" in text
    assert data["engine"] == "golden" and data["settings"]["k_bits"] == list(POLICIES[policy].settings.k_bits)
    assert PROMPT in data["prompt"] and page.read_text().startswith("<!DOCTYPE html>")
    pruned = {len(job["alive"]) < job["tokens"] for job in data["layers"] if job["step"] and job["layer"]}
    assert pruned == {policy == "paper"}


@pytest.mark.parametrize("name", EVICTIONS)
def test_an_answer_from_a_small_cache(run, name, tmp_path):
    """40 tokens of each K/V head stay; what was dropped is not in the record of the last step."""
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    code, text, _ = run("--tokens", 6, "--evict", name, "--cache", 40, "--json", out, "--html", page)
    data = json.loads(out.read_text())
    assert code == 0 and "K/V heads 0 to " in text and " heads: " not in text
    assert "what is called a layer below is a K/V head" in page.read_text()
    assert data["eviction"] == {"policy": name, "cache": 40} and data["jobs_per"] == "K/V head"
    assert page.read_text().startswith("<!DOCTYPE html>")
    last = [job for job in data["layers"] if job["step"] == 5]
    grows = EVICTIONS[name].steps == "grow"
    alive = [len(job["alive"]) for job in last]
    assert sum(alive) == 4 * (45 if grows else 41) and (name == "pyramidkv") == (len(set(alive)) > 1)
    assert all(job["tokens"] - 1 in job["alive"] for job in last)


def test_streaming_goes_on_beyond_the_context(run):
    code, text, _ = run("--tokens", 120, "--evict", "streaming", "--cache", 24, "--plain", "--policy", "static",
                        prompt="the ant " * 48)
    assert code == 0 and "120 generated" in text and "K/V heads 0 to 3: 25 tokens" in text


def test_float_and_golden_say_the_same(run):
    """In 12 bits; after the same prompt, without a template."""
    answers = {engine: run("--tokens", 8, "--policy", "dense", "--plain", engine=engine)[1].split(" tokens of")[0]
               for engine in ("float", "golden")}
    assert answers["float"] == answers["golden"]


@pytest.mark.slow
def test_the_hardware_answers(run):
    code, text, _ = run("--tokens", 3, "--plain", "--policy", "static", engine="rtl")
    assert code == 0 and "RTL equals the golden model bit for bit" in text
    assert "attention of a step: " in text and "at 1000 MHz" in text and "8 bytes per cycle" in text


@pytest.mark.parametrize("asked", [["--prompt", "a"], [], ["--prompt", "a", "--evict", "h2o", "--cache", "40"]])
def test_a_build_that_is_too_small_is_refused_before_it_is_made(asked, model, capsys, monkeypatch):
    monkeypatch.setattr(chat.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(chat, "make_engine", None)
    assert cli.main(["chat", "--model", str(model), "--preset", "small", "--set", "max_heads=2", "--set", "max_group=1",
                     *asked]) == 2
    assert "max_" in capsys.readouterr().err


def test_differences_in_a_conversation_are_told(run, monkeypatch):
    from spatten_hw.sim.models.decoder.report import Report

    lines = iter(["the ant", ""])
    monkeypatch.setattr(chat.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    monkeypatch.setattr(chat, "_answer", lambda *a: (Report(
        a[3], "rtl", POLICIES["default"].settings, ("a",), ("b",), [_trace()], ["out differs"], 1, 0.1, "token"), None))
    code, text, _ = run(prompt=None)
    assert code == 1 and "RTL DIFFERS" in text and "out differs" in text


def _trace():
    import numpy as np

    from spatten_hw.host.results import BYTE_CLASSES
    from spatten_hw.sim.models.decoder.attention import PassResult
    from spatten_hw.sim.models.decoder.session import Trace

    alive = np.ones(1, dtype=bool)
    return Trace(0, 0, 1, PassResult(np.zeros(0), alive, alive, np.ones(1), np.ones(1), 1, 0,
                                     dict.fromkeys(BYTE_CLASSES, 8), 10), 100)


def test_a_conversation(run, monkeypatch):
    lines = iter(["the ant", "x" * 600, "and then", ""])
    monkeypatch.setattr(chat.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    code, text, _ = run("--tokens", 4, prompt=None)
    assert code == 0 and text.count("tokens of prompt, ") == 2
    assert "more than the model's context of 512" in text


@pytest.mark.parametrize("arguments,message", [
    (["--prompt", "  "], "the prompt is empty: give at least one word"),
    (["--prompt", "a", "--policy", "none"], "there is no such policy; there are default, static, dense, values, paper"),
    (["--prompt", "a" * 600], "more than the model's context of 512"),
    (["--prompt", "a", "--model", "none.gguf"], "none.gguf: there is no such model file"),
    (["--file", "none.txt"], "none.txt: No such file or directory"),
    ([], "nothing is asked: give --prompt TEXT or --file FILE"),
    (["--prompt", "a", "--set", "max_heads=2", "--set", "max_group=1"], "needs max_heads"),
    (["--prompt", "a", "--evict", "lru", "--cache", "9"], "there is no such policy; there are streaming, snapkv"),
    (["--prompt", "a", "--evict", "h2o"], "--evict h2o: needs --cache N"),
    (["--prompt", "a", "--cache", "9"], "--cache is given, but no --evict"),
    (["--prompt", "a", "--evict", "snapkv", "--cache", "20"], "cache = 20: 'snapkv' protects 32 tokens"),
    (["--prompt", "a", "--evict", "h2o", "--cache", "600"], "the cache needs 601 slots, 'small' has max_tokens = 512"),
    (["--prompt", "a", "--evict", "h2o", "--cache", "60", "--policy", "paper"], "drops tokens by a rule of its own"),
    (["--prompt", "a", "--temperature", "-1"], "temperature = -1.0: must be a number from 0"),
    (["--prompt", "a", "--seed", "-1"], "seed = -1: must be a whole number from 0"),
])
def test_bad_input(arguments, message, model, capsys, monkeypatch):
    monkeypatch.setattr(chat.sys.stdin, "isatty", lambda: False, raising=False)
    assert cli.main(["chat", "--model", str(model), "--engine", "golden", "--preset", "small", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]


@pytest.mark.parametrize("feature", ["chunk_queries=0", "chunk_queries=1"])
def test_a_conversation_keeps_its_cache(run, monkeypatch, feature):
    """The second turn alone is given to the model, as one job per layer or as one per token."""
    lines = iter(["the ant", "and then", ""])
    jobs = []
    told = chat.told_of
    monkeypatch.setattr(chat.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    monkeypatch.setattr(chat, "told_of", lambda report, mhz: (jobs.append(report), told(report, mhz))[1])
    code, _, _ = run("--tokens", 3, "--policy", "dense", "--set", feature, prompt=None)
    first, second = jobs
    layers = max(t.layer for t in first.traces) + 1
    given = [t for t in second.traces if not t.step]
    assert code == 0 and len([t for t in first.traces if not t.step]) == layers
    assert "and then" in "".join(second.prompt) and "the ant" not in "".join(second.prompt)
    assert len(given) == layers * (1 if feature.endswith("1") else len(second.prompt))
    assert given[-1].tokens == len(first.prompt) + len(first.text) - 1 + len(second.prompt)
