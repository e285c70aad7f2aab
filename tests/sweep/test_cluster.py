"""On a local Dask cluster of two workers: the same table; a worker killed; a scheduler gone."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .test_command import TEXT, start, table, until, without_times

pytest.importorskip("distributed", reason="pip install 'spatten-hw[sweep]'")
pytest.importorskip("pyarrow", reason="pip install 'spatten-hw[sweep]'")
ROOT = Path(__file__).resolve().parents[2]
#: Enough points for something to happen on the way.
MANY = "draws = 1500\n" + TEXT.replace("[0.2, 1.0]", "{from = 0.1, to = 1.0}")


class Cluster:
    """A scheduler and two workers, processes of their own as on machines of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.scheduler = self._run("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                   "--no-show")
        self.address = ""
        until(lambda: self._found("dask_scheduler"))
        self.address = self._found("dask_scheduler")[1]
        self.workers = [self._run("dask_worker", self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny",
                                  "--name", f"w{n}") for n in range(2)]

    def _run(self, module, *words):
        with (self.folder / f"{module}.log").open("a") as log:
            return subprocess.Popen([sys.executable, "-m", f"distributed.cli.{module}", *words], stdout=log, stderr=log,
                                    cwd=self.folder, env=os.environ | {"PYTHONPATH": str(ROOT)})

    def _found(self, module):
        return re.search(r"Scheduler at:\s+(tcp://\S+)", (self.folder / f"{module}.log").read_text())

    def end(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    (tmp_path / "dask").mkdir()
    made = Cluster(tmp_path / "dask")
    yield made
    made.end()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "s.toml").write_text(TEXT)
    return tmp_path


def test_the_same_table(folder, cluster):
    tables = []
    for name, words in (("far", ["--scheduler", cluster.address]), ("near", ["--workers", "1"])):
        process = start(folder, "s.toml", "-o", name, "--no-plots", *words)
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        tables.append(without_times(table(folder / name / "table.csv")))
    assert tables[0] == tables[1] and len(tables[0]) == 24


def test_a_worker_killed(folder, cluster):
    (folder / "s.toml").write_text(MANY)
    process = start(folder, "s.toml", "-o", "out", "--no-plots", "--scheduler", cluster.address)
    until(lambda: (folder / "out/points.jsonl").exists())
    cluster.workers[0].kill()
    _, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    rows = table(folder / "out/table.csv")
    assert len(rows) == 1500 and {row["status"] for row in rows} == {"ok", "refused"}
    assert cluster.workers[1].poll() is None


def test_a_scheduler_gone(folder, cluster):
    (folder / "s.toml").write_text(MANY)
    process = start(folder, "s.toml", "-o", "out", "--no-plots", "--scheduler", cluster.address)
    until(lambda: (folder / "out/points.jsonl").exists())
    cluster.scheduler.kill()
    begin = time.monotonic()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and time.monotonic() - begin < 40
    said = [line for line in error.splitlines() if not line.startswith("[")]
    assert len(said) == 1 and "the connection is lost; what was found is kept" in said[0], error
    # Without it the rest is measured here.
    kept = (folder / "out/points.jsonl").read_bytes().count(b"\n")
    process = start(folder, "s.toml", "-o", "out", "--no-plots", "--workers", "2")
    _, error = process.communicate(timeout=200)
    assert process.returncode == 0 and f" {kept}/" in error, error


def test_interrupted(folder, cluster):
    """Nothing of ours waits at the scheduler afterwards: the next sweep finds free workers."""
    (folder / "s.toml").write_text(MANY)
    process = start(folder, "s.toml", "-o", "out", "--no-plots", "--scheduler", cluster.address)
    until(lambda: (folder / "out/points.jsonl").exists())
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in error
    (folder / "s.toml").write_text(TEXT)
    process = start(folder, "s.toml", "-o", "out", "--no-plots", "--scheduler", cluster.address)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error


def test_no_workers(folder, cluster):
    for worker in cluster.workers:
        worker.kill()
        worker.wait()
    process = start(folder, "s.toml", "-o", "out", "--no-plots", "--scheduler", cluster.address)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and "has no workers; start some with: dask worker tcp://127.0.0.1" in error
