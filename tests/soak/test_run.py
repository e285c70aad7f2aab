"""Runs over seeds: kept, gone on with, stopped, alone in their folder; one configuration through everything."""

import json
import os
import time

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.soak import run, session
from spatten_hw.sim.soak.__main__ import main
from spatten_hw.sim.soak.draw import Drawing, draw
from spatten_hw.sim.soak.tally import Tally

#: The least that the rules allow, but for what costs nothing.
TINY = SpAttenConfig(
    multipliers=4, chunk=4, max_dim=4, operand_bits=8, max_tokens=16, sram_tokens=8, max_heads=2, max_group=1,
    slots=2, topk_lanes=1, channels=1, axi_data_bits=32, axi_addr_bits=20, reads=2, pool_beats=32, job_queue=2)


def silent(*_):
    pass


def passing(drawing, out, digest, say, keep=False):
    return {"seed": drawing.seed, "digest": digest, "fields": drawing.fields, "wrong": [], "outcome": "passed",
            "queries": 3, "cycles": 30, "jobs": 1, "cases": 1, "seconds": 0, "verilog_seconds": 0, "library_seconds": 0}


def soak(out, count=1, jobs=1):
    """Runs until `count` seeds have ended (the time is up when the first ends, and no other begins)."""
    entries = []
    while len(entries) < count:
        entries += run.soak(out, 0.05, 1, jobs, silent)
    return entries


def test_a_run_goes_on_where_the_last_one_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "run_seed", passing)
    first = soak(tmp_path, 2)
    second = soak(tmp_path, 2, jobs=2)
    seeds = [e["seed"] for e in first + second]
    assert sorted(seeds) == list(range(1, len(seeds) + 1))
    assert sorted(Tally(tmp_path / "tally.json").entries) == sorted(seeds)
    assert not list(tmp_path.glob("seed-*"))


def test_a_process_that_dies_is_a_failure(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "run_seed", lambda *_: os._exit(11))
    entry = soak(tmp_path)[0]
    assert (entry["outcome"], entry["wrong"]) == ("failed", ["the process ended with code 11"])
    assert "spatten_hw.sim.soak --config 1" in (tmp_path / "failures" / "1" / "why.txt").read_text()


def test_a_configuration_has_its_time(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "run_seed", lambda *_: time.sleep(600))
    monkeypatch.setattr(run, "LIMIT", 0.5)
    start = time.monotonic()
    assert [e["outcome"] for e in soak(tmp_path)] == ["unfinished"]
    assert time.monotonic() - start < 100


def test_an_error_of_the_generator_is_a_failure(monkeypatch, tmp_path):
    def broken(*_):
        raise IndexError("of the generator")

    monkeypatch.setattr(run, "built", broken)
    drawing = next(d for d in map(draw, range(1, 50)) if d.meant)
    entry = run.run_seed(drawing, tmp_path, "digest", silent)
    assert (entry["outcome"], entry["wrong"]) == ("failed", ["IndexError: of the generator"])
    assert "Traceback" in (tmp_path / "failures" / str(drawing.seed) / "why.txt").read_text()


def test_a_refusal_without_remedy_is_a_failure(monkeypatch, tmp_path):
    drawing = next(d for d in map(draw, range(1, 200)) if not d.meant)
    assert run.run_seed(drawing, tmp_path, "digest", silent)["outcome"] == "refused"
    monkeypatch.setattr(run, "complaints", lambda *_: ["leads nowhere"])
    entry = run.run_seed(drawing, tmp_path, "digest", silent)
    assert (entry["outcome"], entry["wrong"]) == ("failed", ["leads nowhere"])
    assert (tmp_path / "failures" / str(drawing.seed) / "config.toml").exists()


@pytest.mark.parametrize("arguments, words", [
    (["--tally"], "no tally yet"), (["--json", "/nowhere/x.json"], "there is no folder"),
    (["--out", "/proc/none"], "choose a folder with --out")])
def test_a_users_errors(capsys, tmp_path, arguments, words):
    assert main(["--out", str(tmp_path / "new"), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_two_runs_in_a_folder(capsys, tmp_path):
    with run.exclusive(tmp_path):
        assert main(["--out", str(tmp_path)]) == 2
    assert "another soak is running here" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--seed", "x"], ["--jobs", "-1"], ["--nonsense"]])
def test_arguments_out_of_range(arguments):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2


def test_the_exit_code_tells_of_failures(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(run, "run_seed", lambda *_: os._exit(1))
    report = tmp_path / "report.json"
    assert main(["--out", str(tmp_path), "--seconds", "1", "--json", str(report)]) == 1
    assert "FAILED: the process ended with code 1" in capsys.readouterr().out
    assert json.loads(report.read_text())["sums"]["failed"] >= 1
    assert main(["--out", str(tmp_path), "--tally"]) == 0
    assert "| configurations failed |" in capsys.readouterr().out


def test_a_configuration_through_everything(monkeypatch, tmp_path):
    """Drawn, built, run, compared, counted, deleted; with the right golden model, then with one that is off by one."""
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path))
    monkeypatch.setattr(session, "CASES", 3)
    monkeypatch.setattr(session, "QUERIES", 30)
    monkeypatch.setattr(session, "FAILURES", 1)
    fields = {name: value for name, value in TINY.fields.items() if name != "name"}
    drawing = Drawing(5, fields, True)
    kept = run.run_seed(drawing, tmp_path, "digest", silent, keep=True)
    assert (kept["outcome"], kept["wrong"]) == ("passed", [])
    assert kept["queries"] >= 30 and kept["cases"] >= 3 and kept["verilog_bytes"] > 100_000
    libraries = list(tmp_path.rglob("*.so"))
    assert len(libraries) == 1

    def wrong(sequences, config):
        results = sequences.golden(config)
        results[0].bytes["out"] += 1
        return results

    # The library that was kept is found again, so nothing is built; then it goes, as in a run over seeds.
    (tmp_path / "build").symlink_to(libraries[0].parents[1])
    entry = run.run_seed(drawing, tmp_path, "digest", silent, golden=wrong)
    assert entry["outcome"] == "failed" and "bytes of out" in entry["wrong"][0]
    folder = tmp_path / "failures" / "5"
    assert {"config.toml", "why.txt", "5-1-1.json", "5-1-1-1.npz"} <= {p.name for p in folder.iterdir()}
    assert not list(tmp_path.rglob("*.so"))
