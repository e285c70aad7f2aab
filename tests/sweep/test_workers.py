"""Local processes: one that dies is replaced, what it dies of is given up, all end at once with their tools."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spatten_hw.sim.sweep.results import Results
from spatten_hw.sim.sweep.run import run
from spatten_hw.sim.sweep.workers import LocalWorkers

from .poison import Poison

ROOT = Path(__file__).resolve().parents[2]


def do(tasks, tmp_path, workers=2):
    results = Results(tmp_path / "p.jsonl")
    seen = []
    with LocalWorkers(workers) as pool:
        run({task.key: task for task in tasks}, results, pool, lambda p: seen.append((p.done, p.total)))
    assert seen[0] == (0, len(tasks)) and seen[-1] == (len(tasks), len(tasks))
    return results.results


def test_a_worker_that_dies_is_replaced(tmp_path):
    """The tasks get through to the measurement, which poison has none of."""
    tasks = [Poison(f"t{n}", os.getpid(), tmp_path / "log", 1) for n in range(30)]
    found = do(tasks, tmp_path)
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    assert all("AssertionError" in found[t.key]["reason"] or "AttributeError" in found[t.key]["reason"] for t in tasks)


def test_what_always_kills_is_given_up(tmp_path):
    tasks = [Poison("bad", os.getpid(), tmp_path / "log", 100),
             *(Poison(f"good{n}", os.getpid(), tmp_path / "none", 0) for n in range(5))]
    found = do(tasks, tmp_path, workers=1)
    assert "its process ended 3 times" in found["bad"]["reason"] and found["bad"]["status"] == "failed"
    assert all("Error" in found[f"good{n}"]["reason"] for n in range(5))


PROGRAM = """\
import os, sys
from pathlib import Path
from spatten_hw.termination import ended_by_sigterm
from spatten_hw.sim.sweep.results import Results
from spatten_hw.sim.sweep.run import run
from spatten_hw.sim.sweep.workers import LocalWorkers
from tests.sweep.poison import Sleeper

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    tasks = {f"t{n}": Sleeper(f"t{n}", os.getpid(), folder / "log", 0, kind="rtl") for n in range(4)}
    with ended_by_sigterm(), LocalWorkers(2) as pool:
        run(tasks, Results(folder / "p.jsonl"), pool, lambda p: None)
"""


def alive(pid):
    """Whether a process runs; a zombie whose parent is gone does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_all_end_at_once(how, tmp_path):
    program = tmp_path / "main.py"
    program.write_text(PROGRAM)
    main = subprocess.Popen([sys.executable, program, tmp_path], env=os.environ | {"PYTHONPATH": str(ROOT)},
                            stderr=subprocess.DEVNULL)
    log, pids = tmp_path / "log", []
    end = time.monotonic() + 60
    while len(pids) < 4 and time.monotonic() < end:
        time.sleep(0.1)
        pids = [int(x) for x in log.read_text().split()] if log.exists() else []
    assert len(pids) == 4 and all(map(alive, pids))
    main.send_signal(how)
    assert main.wait(timeout=15) != 0
    end = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, pids))


