"""Grids are measured once: what is stored stays, whatever stopped the run before."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.presets import EIGHTH, SMALL
from spatten_hw.sim.evaluate.grid import Series
from spatten_hw.sim.evaluate.markdown import markdown
from spatten_hw.sim.evaluate.point import Point
from spatten_hw.sim.evaluate.runner import run_points
from spatten_hw.sim.evaluate.store import Store, key_of
from spatten_hw.sim.evaluate.summary import Summary

POINTS = [Point("encoder", (b, 0)) for b in (4, 6, 8)]


@dataclass
class Counting:
    """A bench that says how often it was asked, and stops at a point."""

    config: SpAttenConfig = SMALL
    stop: Point | None = None
    asked: list[Point] = field(default_factory=list)

    def measure(self, point):
        if point == self.stop:
            raise KeyboardInterrupt
        self.asked.append(point)
        return {"bits": point.bits[0]}


def run(bench, path, data="d", workers=1):
    seen = []
    results = run_points(bench, POINTS, data, Store(path), workers, lambda *step: seen.append(step))
    assert [r["bits"] for r in results] == [4, 6, 8] and seen[-1][:2] == (3, 3)
    return results


def test_interrupted_run_goes_on(tmp_path):
    path = tmp_path / "points.jsonl"
    first = Counting(stop=POINTS[2])
    with pytest.raises(KeyboardInterrupt):
        run(first, path)
    second = Counting()
    run(second, path)
    assert (first.asked, second.asked) == (POINTS[:2], POINTS[2:])
    third = Counting()
    run(third, path)
    assert third.asked == []


@dataclass
class Slow:
    """A bench whose points take a minute; `begun`: a file that is there once the first is under way."""

    begun: Path
    config: SpAttenConfig = SMALL

    def measure(self, point):
        self.begun.touch()
        time.sleep(60)
        return {}


def test_workers_end_with_the_run(tmp_path):
    bench = Slow(tmp_path / "begun")

    def interrupt():
        while not bench.begun.exists():
            time.sleep(0.1)
        stopped.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    stopped = []
    # Whoever runs the tests in processes of its own may have them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_points(bench, POINTS, "d", Store(tmp_path / "points.jsonl"), 2, lambda *step: None)
    finally:
        signal.signal(signal.SIGINT, before)
    # The interpreter waits for them when it ends.
    while multiprocessing.active_children():
        assert time.monotonic() - stopped[0] < 30
        time.sleep(0.1)


def test_half_a_line_is_measured_again(tmp_path):
    path = tmp_path / "points.jsonl"
    run(Counting(), path)
    path.write_bytes(path.read_bytes()[:-10])
    bench = Counting()
    run(bench, path)
    assert bench.asked == POINTS[2:]
    again = Counting()
    run(again, path)
    assert again.asked == []


def test_key_depends_on_everything():
    keys = {key_of(POINTS[0], SMALL, "a"), key_of(POINTS[1], SMALL, "a"), key_of(POINTS[0], EIGHTH, "a"),
            key_of(POINTS[0], SMALL, "b")}
    assert len(keys) == 4 and key_of(Point("encoder", (4, 0)), SMALL, "a") in keys


def test_workers_give_the_same(tmp_path):
    one = run(Counting(), tmp_path / "one.jsonl")
    two = run(Counting(), tmp_path / "two.jsonl", workers=2)
    assert [{**r, "cpu_seconds": 0} for r in one] == [{**r, "cpu_seconds": 0} for r in two]


def result(loss, bytes_, macs):
    return {"loss": loss, "byte_ratio": bytes_, "mac_ratio": macs, "cosine_mean": 1 - loss, "refetch_rate": 0.0}


def test_summary():
    points = (*POINTS, Point("encoder", None))
    results = [result(0.05, 0.2, 1.0), result(0.009, 0.5, 0.4), result(0.001, 0.6, 0.3), {"loss": 0.3}]
    s = Summary("encoder", [Series("a", points[:2]), Series("b", points[1:])], results)
    assert s.best("bytes", 0.01) == POINTS[1] and s.best("computation", 0.01) == POINTS[2]
    assert s.best("bytes", 0.0001) is None
    assert s.front("bytes") == POINTS and s.front("computation") == [POINTS[2]]
    table = s.as_json()
    assert table["best"] == {"bytes, loss ≤ 1%": "6 bit", "computation, loss ≤ 1%": "8 bit"}
    assert table["points"][1]["series"] == ["a", "b"] and table["points"][2]["pareto"] == ["bytes", "computation"]
    assert "2.0×" in s.table() and "bytes ≤ 1%" in s.table()
    assert markdown([s]).splitlines() == [
        "## encoder", "", "| series | point | loss | 95 % | cosine | fewer bytes | computation |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        f"| a | {points[0].label} | +5.00 % |  | 0.9500 | 5.00× | 100 % |",
        f"|  | {points[1].label} | +0.90 % |  | 0.9910 | 2.00× | 40 % |",
        f"| b | {points[2].label} | +0.10 % |  | 0.9990 | 1.67× | 30 % |",
        f"|  | {points[3].label} | +0.00 % |  |  |  |  |"]


def test_a_lucky_classifier_is_not_best():
    """A point that turns verdicts for the better is within a loss only if the interval says so."""
    def judged(loss, upper, bytes_):
        return {"loss": loss, "loss_interval": (-0.1, upper), "byte_ratio": bytes_, "mac_ratio": 1.0,
                "refetch_rate": 0.0, "accuracy": 0.8 - loss, "auc": 0.9, "flips": 16}

    points = (*(replace(p, model="classifier") for p in POINTS), Point("classifier", None))
    s = Summary("classifier", [Series("a", points)], [
        judged(-0.02, 0.03, 0.4), judged(0.0, 0.015, 0.5), judged(0.0, 0.0, 0.6), {"loss": 0.0, "flips": 0}])
    assert s.best("bytes", 0.01) == points[2] and s.best("bytes", 0.02) == points[1]
    assert "| −2.00 % | −10.0 % … +3.0 % | 82.0%, 0.900,  16 |" in markdown([s])
    assert s.front("bytes") == [points[0]] and "82.0%, 0.900,  16" in s.table() and "upper end" in s.table()


def test_decoder_losses_are_against_float():
    points = (Point("decoder"), Point("decoder", None))
    results = [{"perplexity": 4.1, "byte_ratio": 0.5, "mac_ratio": 1.0, "refetch_rate": 0.0}, {"perplexity": 4.0}]
    s = Summary("decoder", [Series("a", points)], results)
    assert s.of[points[0]]["loss"] == pytest.approx(0.025) and s.of[points[1]]["loss"] == 0
    assert s.best("bytes", 0.02) is None and "no point loses ≤ 2%" in s.table()
