"""How far the model is from the Verilog: relative errors over the table of measured jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spatten_hw.presets import PRESETS

from .cycles import job_cycles
from .draw import preset_of
from .queued import sequence
from .table import SEEDS, Table

#: What is wanted: errors of at most so much.
WANTED = 0.03
#: Seeds whose jobs rules and constants were chosen by, and those that were measured afterwards.
CALIBRATION, HELD_OUT = SEEDS[:240], SEEDS[240:]


@dataclass(frozen=True)
class Errors:
    """Relative errors (estimated / measured − 1) of a kind of jobs."""

    name: str
    of: np.ndarray

    @property
    def within(self) -> float:
        """Share of errors of at most `WANTED`."""
        return float(np.mean(np.abs(self.of) <= WANTED))

    @property
    def total(self) -> int:
        return len(self.of)

    def at(self, percent: float) -> float:
        """A percentile of the errors' magnitudes."""
        return float(np.percentile(np.abs(self.of), percent))

    @property
    def row(self) -> str:
        """Of a Markdown table."""
        median = float(np.median(self.of))
        return (f"| {self.name} | {self.total} | {100 * self.within:.0f} % | {100 * median:+.1f} % | "
                f"{100 * self.at(50):.1f} % | {100 * self.at(90):.1f} % | {100 * self.at(99):.1f} % |")


HEAD = ("| jobs | number | within 3 % | median | magnitude, half below | 90 % below | 99 % below |\n"
        "| --- | --- | --- | --- | --- | --- | --- |")


def of_jobs(table: Table, seeds: Iterable[int]) -> list[Errors]:
    """Of single jobs by preset and stage, then of all together."""
    seeds, found = list(seeds), []
    for name, config in PRESETS.items():
        work, cycles = table.jobs(name, seeds)
        errors = job_cycles(work, config) / cycles - 1
        for stage, value in (("generation", 1), ("prompts", 0)):
            if (work.generate == value).any():
                found.append(Errors(f"`{name}`, {stage}", errors[work.generate == value]))
    return [*found, Errors("all", np.concatenate([e.of for e in found]))]


def of_queues(table: Table, seeds: Iterable[int]) -> Errors:
    """Of workloads of several jobs, queued back to back, all presets."""
    plans = [(table.plans[s], PRESETS[preset_of(s)]) for s in seeds if s in table.plans]
    return Errors("queued workloads", np.array([sequence(m.work, config) / m.queued - 1 for m, config in plans
                                                if len(m.cycles) > 1]))


def report(table: Table) -> str:
    """The table of docs/model.md: held-out jobs, then those of calibration as one."""
    rows = [e.row for e in of_jobs(table, HELD_OUT)]
    seen, queues = of_jobs(table, CALIBRATION)[-1], of_queues(table, CALIBRATION)
    return "\n".join([HEAD, *rows, of_queues(table, HELD_OUT).row, Errors("calibration, all", seen.of).row,
                      Errors("calibration, queued workloads", queues.of).row])
