"""A run's jobs, each with its events: a timeline."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.streams import RESET, JobCounts, Span
from spatten_hw.sim.harness.transport import VerilatedTransport

from .events import Event, Walk

#: Those behind the softmax, which may still have one job while the others have the next (`control/stages.py`).
BACK_UNITS = ("top-k", "P×V", "write")


@dataclass(frozen=True)
class Job:
    """A finished job: cycles `first` … `last`, its generation step (None: summarisation) and layer, if known, what
    its events are, in order of `first`, and what the streams did. A job may begin before the one before it ends."""

    number: int
    first: int
    last: int
    step: int | None
    layer: int | None
    events: tuple[Event, ...]
    counts: JobCounts | None

    @property
    def name(self) -> str:
        """Short: L for layer, S for generation step."""
        if self.layer is None:
            return f"job {self.number}"
        return f"L{self.layer}" if self.step is None else f"S{self.step} L{self.layer}"

    @property
    def cycles(self) -> int:
        """Length."""
        return self.last - self.first + 1

    def label(self, e: Event) -> str:
        """What to call an event: layer, head, query, kind."""
        words = [self.name]
        if e.head is not None:
            words.append(f"h{e.head}")
            if self.step is None:
                words.append(f"q{e.query}")
        elif e.kv_head is not None:
            words.append(f"kv{e.kv_head}")
        return " ".join([*words, e.what] if e.what else words)


@dataclass(frozen=True)
class Timeline:
    """All finished jobs of a recording. `dropped`: vectors that found no room; then the last jobs lack
    events or are missing."""

    config: SpAttenConfig
    jobs: tuple[Job, ...]
    dropped: int = 0

    @property
    def cycles(self) -> int:
        """Cycles with a job, each counted once."""
        ends = [-1, *(j.last for j in self.jobs)]
        return sum(j.last - max(j.first - 1, end) for j, end in zip(self.jobs, ends, strict=False))

    @staticmethod
    def of(transport: VerilatedTransport, names: Sequence[tuple[int, int]] | None = None) -> Timeline:
        """What `transport` has recorded. `names`: (step, layer) of the jobs, in the order in which they ran."""
        return build(transport.config, transport.spans(), transport.job_streams(), names, transport.spans_dropped)


def build(config: SpAttenConfig, spans: Sequence[Span], counts: Sequence[JobCounts] = (),
          names: Sequence[tuple[int, int]] | None = None, dropped: int = 0) -> Timeline:
    """A timeline from recorded spans, in the order in which they ended."""
    bounds: list[tuple[int, int, bool]] = []
    started: deque[Span] = deque()
    for s in spans:
        if s.stream == "jobs":
            started.append(s)
        elif s.stream == "completions" and started:
            # A job may be offered long before it is taken, a completion may wait: both count when they move.
            job = started.popleft()
            bounds.append((job.last, s.last, bool(job.key["generate"])))
        elif s.stream == RESET:
            started.clear()
    events = sorted(Walk(config).events(spans), key=lambda e: (e.first, e.last))
    per_job: list[list[Event]] = [[] for _ in bounds]
    starts, ends = [b[0] for b in bounds], [b[1] for b in bounds]
    for e in events:
        # A unit of the front stage works for the job taken last, one of the back stage for the one that ends next.
        n = bisect_left(ends, e.last) if e.unit in BACK_UNITS else bisect_right(starts, e.first) - 1
        if 0 <= n < len(bounds) and starts[n] <= e.first and e.last <= ends[n]:
            per_job[n].append(e)
    counted = {j.last: j for j in counts}
    jobs = []
    for n, (first, last, generate) in enumerate(bounds):
        step, layer = names[n] if names is not None and n < len(names) else (n, None)
        here = [Event("sequencer", first, last), *per_job[n]]
        jobs.append(Job(n, first, last, step if generate else None, layer, tuple(here), counted.get(last)))
    return Timeline(config, tuple(jobs), dropped)
