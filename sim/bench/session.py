"""What the cases of `bench memory` run on, and what they give back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.sim.dram.timing import DramTiming
from spatten_hw.sim.status import Status

from .measure import Bench, Measurement
from .memory_side import MemorySide
from .report import Row
from .traffic import Traffic


@dataclass(frozen=True)
class Figure:
    """Something measured besides cycles. `limit`: what is wanted, at least (`least`) or at most; None: nothing.
    `percent`: shown as such."""

    what: str
    value: float
    limit: float | None = None
    least: bool = True
    percent: bool = False

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        return self.value >= self.limit if self.least else self.value <= self.limit

    def show(self, value: float) -> str:
        """A value of the figure for the table."""
        if self.percent:
            return f"{100 * value:.1f} %"
        return f"{value:.3f}" if value < 10 else f"{value:.1f}" if value < 10_000 else f"{value:.0f}"

    @property
    def as_json(self) -> dict[str, object]:
        return {"what": self.what, "value": self.value, "limit": self.limit, "at_least": self.least, "met": self.met}


@dataclass
class Outcome:
    """A case, measured. `traffic` and `memory` (None: perfect) are of the whole run, of the longer one if the case is
    the difference of two."""

    row: Row
    traffic: Traffic
    memory: MemorySide | None
    figures: list[Figure] = field(default_factory=list)


class Session:
    """Simulations of a build: on the memory asked for, and on perfect memory to compare with. A context manager."""

    def __init__(self, config: SpAttenConfig, status: Status, latency: int, memory: DramTiming | None,
                 targets: bool = False):
        self.config, self.status, self.latency, self.memory, self.targets = config, status, latency, memory, targets
        self.bench = Bench(config, status, latency, memory)
        self._perfect: Bench | None = None
        #: The memory without refreshes: for differences of two runs, one of which may have a refresh more.
        self.steady_memory = memory and replace(memory, refi=0)
        self._steady: Bench | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for bench in (self.bench, self._perfect, self._steady):
            if bench is not None:
                bench.__exit__()

    @property
    def peak(self) -> int:
        """Bytes per cycle over all channels."""
        return self.config.channels * self.config.beat_bytes

    def perfect(self) -> Bench:
        """A simulation on perfect memory."""
        if self._perfect is None:
            self._perfect = Bench(self.config, self.status, self.latency)
        return self._perfect

    def unrefreshed(self) -> Bench:
        """A simulation on the memory without refreshes."""
        if self._steady is None:
            self._steady = Bench(self.config, self.status, self.latency, self.steady_memory)
        return self._steady

    def wanted(self, limit: float) -> float | None:
        """`limit`, where targets hold."""
        return limit if self.targets else None

    def outcome(self, row: Row, jobs: Sequence[LayerJob], m: Measurement, figures: list[Figure]) -> Outcome:
        """The outcome of a case whose (longer) run is `m`."""
        side = None
        if self.memory is not None:
            side = MemorySide.of(m.dram, m.cycles, jobs, self.memory, self.config)
        return Outcome(row, Traffic.of(jobs, m.results), side, figures)
