"""Tests run on one mutant: pytest in a forked process, which stops at the first failure.

The parent has imported what all tests need and nothing of the tests themselves; a fork costs nothing then. The mutant's
number goes through the environment to the simulations, which the run before all (number 0) has compiled.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spatten_hw.sim.harness.variant import MUTANTS

from .sites import ROOT

NUMBER = "SPATTEN_MUTANT"
#: Seconds that a run may take beyond `PATIENCE` times what the tests took with mutant 0: a hang counts as killed.
PATIENCE, GRACE = 6, 60


@dataclass
class Run:
    """`verdict`: "passed", "failed" (a test did), "timeout", or "broken" (pytest could not run them). `test`: the first
    that failed. `seconds`: of the whole; `durations`: of every test that ran."""

    verdict: str
    seconds: float
    test: str = ""
    why: str = ""
    durations: dict[str, float] = field(default_factory=dict)


class _Watcher:
    """Pytest plug-in: quick tests first, those that have killed before all; notes durations and the first failure."""

    def __init__(self, order: dict[str, float]):
        self.order, self.durations = order, dict[str, float]()
        self.test = self.why = ""

    def pytest_collection_modifyitems(self, items: list) -> None:
        items.sort(key=lambda item: self.order.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report) -> None:
        self.durations[report.nodeid] = self.durations.get(report.nodeid, 0.0) + report.duration
        if report.failed and not self.test:
            self.test, self.why = report.nodeid, (report.longreprtext.strip().splitlines() or [""])[-1][:200]


def run_tests(tests: Sequence[str], number: int, listed: Path, order: dict[str, float], limit: float | None,
              log: Path) -> Run:
    """The tests (pytest ids) on mutant `number` of the list, for at most `limit` seconds, in the order of `order`;
    `log`: what they print."""
    answer = listed.parent / f"run-{os.getpid()}-{number}.json"
    answer.unlink(missing_ok=True)
    start = time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _in_child(tests, number, listed, order, answer, log)
    try:
        status = _wait(child, limit)
    except BaseException:
        _kill(child)
        raise
    seconds = time.monotonic() - start
    if status is None:
        _kill(child)
        answer.unlink(missing_ok=True)
        return Run("timeout", seconds)
    if not answer.exists():
        # The simulation or the interpreter died under it: as good as a failed test, unless mutant 0 does it.
        return Run("failed", seconds, why=f"the process ended with status {status}")
    read = json.loads(answer.read_text())
    answer.unlink()
    verdict = {0: "passed", 1: "failed"}.get(read["code"], "broken")
    return Run(verdict, seconds, read["test"], read["why"], read["durations"])


def _in_child(tests: Sequence[str], number: int, listed: Path, order: dict[str, float], answer: Path,
              log: Path) -> None:
    code = 3
    try:
        os.environ |= {NUMBER: str(number), MUTANTS: str(listed), "SEED": "1", "PYTHONPATH": str(ROOT),
                       # Nobody reads what a failed assertion compared, and cocotb would run it twice to show it.
                       "COCOTB_REWRITE_ASSERTION_FILES": ""}
        os.chdir(ROOT)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        import pytest

        watcher = _Watcher(order)
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests], plugins=[watcher]))
        answer.write_text(json.dumps({"code": code, "test": watcher.test, "why": watcher.why,
                                      "durations": watcher.durations}))
    finally:
        os._exit(code)


def _wait(child: int, limit: float | None) -> int | None:
    """The child's exit status; None: not within `limit` seconds."""
    end = None if limit is None else time.monotonic() + limit
    pause = 0.01
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if end is not None and time.monotonic() > end:
            return None
        time.sleep(pause)
        pause = min(0.2, pause * 1.2)


def _kill(child: int) -> None:
    """Ends the child and the simulators that it started: they are a process group of their own."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def limit_of(baseline: Run) -> float:
    """Seconds that a mutant's run may take."""
    return PATIENCE * sum(baseline.durations.values()) + GRACE
