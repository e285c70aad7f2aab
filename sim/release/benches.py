"""What `make bench` runs: benches of presets, each a JSON file that says which Verilog it was measured on."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import verilog_digest

#: Benches by preset. `eighth` and `full` face memory of HBM; `small` has one port of 8 bytes.
PLAN: dict[str, tuple[str, ...]] = {
    "full": ("topk", "units", "attention", "memory"), "eighth": ("units", "attention", "memory"),
    "small": ("units", "attention")}
#: Tables made of one file, by the last word of their names.
TABLES = {"memory": ("memory", "dram", "traffic")}


@dataclass(frozen=True)
class Run:
    """One bench of one preset, `name` as in `full/attention`; `workload`: a file of requests instead of its cases."""

    preset: str
    name: str
    bench: str
    workload: Path | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that its JSON fills."""
        return tuple(f"{self.preset}/{kind}" for kind in TABLES.get(self.name, (self.name,)))

    @property
    def command(self) -> str:
        """As a user would type it."""
        workload = f" --workload {self.workload.name}" if self.workload else ""
        return f"spatten-hw bench {self.bench} --preset {self.preset}{workload}"

    def arguments(self, result: Path) -> list[str]:
        """For Python, to write `result`."""
        more = ["--workload", str(self.workload)] if self.workload else []
        return ["-m", "spatten_hw.cli", "bench", self.bench, "--preset", self.preset, *more, "--json", str(result)]


def runs(presets: list[str], workload: Path | None) -> Iterator[Run]:
    """What to run for these presets; `workload`: requests for `full`, too."""
    for preset in presets:
        yield from (Run(preset, bench, bench) for bench in PLAN[preset])
    if workload is not None and "full" in presets:
        yield Run("full", "requests", "attention", workload)
        yield Run("full", "memory-requests", "memory", workload)


def result_of(run: Run, folder: Path) -> Path:
    return folder / run.preset / f"{run.name}.json"


def present(run: Run, folder: Path) -> dict | None:
    """The run's report, if there is one of the present Verilog."""
    path = result_of(run, folder)
    if not path.exists():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    return report if report.get("verilog_digest") == verilog_digest(PRESETS[run.preset]) else None


def measure(wanted: list[Run], folder: Path, say: Callable[[str], None]) -> list[Run]:
    """Runs what has no report of the present Verilog yet, so that a stopped one goes on; the runs that failed."""
    failed = []
    for number, run in enumerate(wanted, 1):
        head = f"{number}/{len(wanted)} {run.command}"
        if present(run, folder):
            say(f"{head}: of the present Verilog already")
            continue
        say(head)
        path = result_of(run, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([sys.executable, *run.arguments(path)], check=False)
        if done.returncode:
            say(f"{shlex.join(run.arguments(path))}: exit code {done.returncode}")
            failed.append(run)
    return failed
