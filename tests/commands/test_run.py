"""`spatten-hw run`: files in, files out, and every mistake one line, exit 2, nothing left behind."""

import json
import tomllib

import numpy as np
import pytest

from spatten_hw.cli import main
from tests.host.fake_device import FakeDevice
from tests.host.malformed import CASES, good, save
from tests.report.samples import embedded


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def refused(argv, capsys, folder, before):
    """Runs a command that must fail; returns the complaint."""
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("spatten-hw: error: ") and captured.err.count("\n") == 1, captured.err
    assert files(folder) == before
    return captured.err


@pytest.mark.parametrize("name", CASES)
def test_malformed_workloads(name, folder, capsys):
    arrays, words = CASES[name]
    save("bad.npz", arrays)
    text = refused(["run", "bad.npz", "--preset", "small", "--engine", "golden", "--out", "o.npz", "--json",
                    "o.json"], capsys, folder, ["bad.npz"])
    assert "bad.npz" in text
    for word in words:
        assert word in text


def test_malformed_arguments(folder, capsys):
    save("w.npz", good())
    (folder / "d").mkdir()
    (folder / "job.toml").write_text("keep_values = 3\n")
    before = files(folder)
    for extra, word in (
            (["--out", "nowhere/o.npz"], "nowhere"), (["--json", "d"], "folder"), (["--out", "w.npz"], "w.npz"),
            (["--out", "x", "--json", "./x"], "x"),
            (["--html", "nowhere/o.html"], "nowhere"), (["--json", "x", "--html", "x"], "x"),
            (["--html", "w.npz"], "w.npz"),
            (["--job", "job.toml"], "keep_values"),
            (["--job", "none.toml"], "none.toml"), (["--preset", "huge"], "huge"), (["--set", "lanes=3"], "lanes")):
        text = refused(["run", "w.npz", "--engine", "golden", *extra], capsys, folder, before)
        assert word in text, text
    refused(["run", "absent.npz"], capsys, folder, before)
    (folder / "text.npz").write_text("hello")
    assert "text.npz" in refused(["run", "text.npz"], capsys, folder, sorted([*before, "text.npz"]))


def test_usage_errors_exit_2(folder):
    for argv in (["run"], ["run", "w.npz", "--engine", "gpu"], ["run", "w.npz", "--cycle-limit", "0"],
                 ["run", "w.npz", "--cycle-limit", "ten"]):
        with pytest.raises(SystemExit) as e:
            main(argv)
        assert e.value.code == 2


@pytest.mark.parametrize("engine", ["golden", "float"])
def test_outputs_are_the_contract(engine, folder, capsys):
    save("w.npz", good(job={"keep_tokens": [None, 4], "keep_heads": [None, 1], "k_bits": [8, 4]}))
    assert main(["run", "w.npz", "--engine", engine, "--out", "o.npz", "--json", "o.json"]) == 0
    assert files(folder) == ["o.json", "o.npz", "w.npz"]
    out = dict(np.load("o.npz"))
    assert {k: (v.shape, v.dtype) for k, v in out.items()} == {
        "out": ((2, 2, 6, 32), np.float64), "token_kept": ((2, 6), bool), "head_kept": ((2, 2), bool),
        "token_scores": ((6,), np.float64), "head_scores": ((2,), np.float64),
        "layer_token_scores": ((2, 6), np.float64), "layer_head_scores": ((2, 2), np.float64),
        "refetched": ((2, 2, 6), bool)}
    report = json.loads((folder / "o.json").read_text())
    assert report["preset"] == "small" and report["engine"] == engine and len(report["config_hash"]) == 8
    assert report["bit_exact"] is None and report["cycles"] is None
    assert [s["tokens"] for s in report["layers"]] == [6, 4] and [s["heads"] for s in report["layers"]] == [2, 1]
    assert [s["queries"] for s in report["layers"]] == [12, 4]
    assert report["dense_bytes"] == 2 * 2 * 6 * (3 * 48 + 64)
    assert report["dense_bytes_16"] == 2 * 2 * 6 * (3 * 64 + 64)
    if engine == "golden":
        assert set(report["bytes"]) == {"q", "k_msb", "k_lsb", "v_msb", "v_lsb", "out", "other"}
        for name, count in report["bytes"].items():
            assert count == sum(s["bytes"][name] for s in report["layers"])
        assert report["bytes"]["q"] == (12 + 4) * 48 and 0.98 < report["cosine"] < 1
    else:
        assert report["bytes"] is None and report["max_abs_error"] == 0 and report["cosine"] == 1
    text = capsys.readouterr().out
    assert f"engine {engine}" in text and "layer" in text
    if engine == "golden":
        total, dense = sum(report["bytes"].values()), 2 * 2 * 6 * 64
        assert f"\n{total / (dense * 3.25):.1%} of dense 12-bit attention, 4992 bytes; " in text
        assert f"; {total / (dense * 4):.1%} of dense 16-bit attention, {dense * 4} bytes\n" in text


@pytest.mark.parametrize("engine", ["golden", "float"])
def test_html_says_what_json_says(engine, folder):
    save("w.npz", good(job={"keep_tokens": [None, 4], "keep_heads": [None, 1]},
                       tokens=np.array(["<s>", " a", "b", "c", "d", "e"])))
    assert main(["run", "w.npz", "--engine", engine, "--html", "o.html", "--json", "o.json"]) == 0
    assert files(folder) == ["o.html", "o.json", "w.npz"]
    report, page = json.loads((folder / "o.json").read_text()), (folder / "o.html").read_text("utf-8")
    data = embedded(page)
    assert data["total"]["bytes"] == report["bytes"] and data["config_hash"] == report["config_hash"]
    assert data["sequences"][0]["tokens"][:2] == ["<s>", " a"] and ">␣a</span>" in page
    assert [len(x["alive"]) for x in data["sequences"][0]["steps"][0]["layers"]] == [6, 4]


def test_generation_has_a_step_axis(folder):
    save("w.npz", good(q=np.ones((2, 2, 3, 32)), job={"stage": "generate"}))
    assert main(["run", "w.npz", "--engine", "golden", "--out", "o.npz", "--json", "o.json"]) == 0
    out = np.load("o.npz")
    assert out["token_kept"].shape == (3, 2, 6) and out["head_kept"].shape == (3, 2, 2)
    assert out["token_kept"].sum(2).tolist() == [[4, 4], [5, 5], [6, 6]]
    assert out["layer_token_scores"].shape == (3, 2, 6) and out["layer_head_scores"].shape == (3, 2, 2)
    layers = json.loads((folder / "o.json").read_text())["layers"]
    assert [(s["step"], s["layer"]) for s in layers] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_the_same_input_gives_the_same_bytes(folder):
    save("w.npz", good())
    for i in "ab":
        assert main(["run", "w.npz", "--engine", "golden", "--out", f"{i}.npz", "--json", f"{i}.json"]) == 0
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()
    a, b = np.load("a.npz"), np.load("b.npz")
    assert all(np.array_equal(a[k], b[k]) for k in a.files)


@pytest.mark.parametrize("broken", [False, True])
def test_hardware_that_differs_exits_1(broken, folder, capsys, monkeypatch):
    save("w.npz", good())
    monkeypatch.setattr("spatten_hw.sim.engine.verilated", lambda c: FakeDevice(c, break_output=broken))
    assert main(["run", "w.npz", "--engine", "rtl", "--json", "o.json"]) == int(broken)
    report = json.loads((folder / "o.json").read_text())
    assert report["bit_exact"] is not broken and report["cycles"] == 2000
    text = capsys.readouterr().out
    assert ("DIFFERS layer 0" in text) is broken and ("bit for bit" in text) is not broken


def test_a_hang_is_an_error_of_one_line(folder, capsys, monkeypatch):
    save("w.npz", good())
    monkeypatch.setattr("spatten_hw.sim.engine.verilated", lambda c: FakeDevice(c, hang=True))
    text = refused(["run", "w.npz", "--out", "o.npz", "--cycle-limit", "1000"], capsys, folder, ["w.npz"])
    assert "1000 cycles" in text


def test_outputs_are_replaced_whole_or_not_at_all(folder, capsys, monkeypatch):
    save("w.npz", good())
    (folder / "o.json").write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("spatten_hw.output.os.fdopen", full)
    text = refused(["run", "w.npz", "--engine", "golden", "--json", "o.json"], capsys, folder, ["o.json", "w.npz"])
    assert "No space left" in text and (folder / "o.json").read_text() == "old"


SCHEDULES = {
    "paper": ("prune_tokens = [0.2, 0.5]\nprune_heads = [0.5, 0.5]\nprune_values = 0.5\nfront_tokens = 0.3\n",
              [12, 10, 6], [2, 1, 1], [6, 5, 3]),
    "counts": ('keep_tokens = ["all", 9, 4]\nkeep_heads = ["all", "all", 1]\nkeep_values = 3\n',
               [12, 9, 4], [2, 2, 1], [3, 3, 3]),
    "ratios": ("keep_tokens = [1, 0.5, 0.25]\nkeep_heads = 0.5\nkeep_values = [1, 0.5, 0.4]\n",
               [12, 6, 3], [2, 1, 1], [12, 3, 2]),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_is_what_its_counts_are(kind, folder, capsys):
    fields, tokens, heads, values = SCHEDULES[kind]
    rng = np.random.default_rng(3)
    arrays = {n: rng.standard_normal((3, 2, 12, 32)) for n in "qkv"}
    save("plain.npz", arrays)
    save("json.npz", arrays | {"job": {"protect_first": 1, "schedule": tomllib.loads(f'kind = "{kind}"\n{fields}')}})
    save("counts.npz", arrays | {"job": {"protect_first": 1, "keep_tokens": tokens, "keep_heads": heads,
                                         "keep_values": values}})
    (folder / "job.toml").write_text(f'protect_first = 1\n[schedule]\nkind = "{kind}"\n{fields}')
    reports = []
    for name, extra in (("plain", ["--job", "job.toml"]), ("json", []), ("counts", [])):
        assert main(["run", f"{name}.npz", "--preset", "small", "--engine", "golden", "--json", "o.json", "--out",
                     f"{name}-out.npz", *extra]) == 0
        reports.append(json.loads((folder / "o.json").read_text()))
    assert [s["tokens"] for s in reports[0]["layers"]] == tokens
    assert [s["heads"] for s in reports[0]["layers"]] == heads
    assert reports[0] == reports[1] == reports[2]
    outs = [np.load(f"{name}-out.npz") for name in ("plain", "json", "counts")]
    assert all(np.array_equal(outs[0][k], o[k]) for o in outs for k in outs[0].files)
    capsys.readouterr()
    text = (folder / "job.toml").read_text()
    (folder / "job.toml").write_text("keep_values = [1, 1, 1]\n" + text)
    words = refused(["run", "plain.npz", "--job", "job.toml", "--engine", "golden"], capsys, folder, files(folder))
    assert "job.schedule: is given beside job.keep_values" in words


def test_a_schedule_follows_a_generation(folder):
    rng = np.random.default_rng(4)
    save("w.npz", {"q": rng.standard_normal((2, 2, 3, 32)), "k": rng.standard_normal((2, 2, 10, 32)),
                   "v": rng.standard_normal((2, 2, 10, 32))})
    (folder / "j.toml").write_text('stage = "generate"\n[schedule]\nkind = "ratios"\nkeep_tokens = 0.5\n'
                                   "keep_values = 0.5\n")
    for engine in ("golden", "float"):
        assert main(["run", "w.npz", "--job", "j.toml", "--engine", engine, "--json", "o.json"]) == 0
        layers = json.loads((folder / "o.json").read_text())["layers"]
        assert [s["tokens"] for s in layers] == [8, 4, 9, 5, 10, 5]
        if engine == "golden":  # V rows of 48 bytes, per head the values kept
            assert [s["bytes"]["v_msb"] // 96 for s in layers] == [4, 2, 5, 3, 5, 3]
