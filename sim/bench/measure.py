"""Runs passes on the simulated hardware and on the golden model, and says what the hardware took for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.driver import Driver
from spatten_hw.sim.dram.stats import DramStats
from spatten_hw.sim.dram.timing import DramTiming
from spatten_hw.sim.engine import compare_counters, compare_pass
from spatten_hw.sim.golden.integer_engine import golden_results
from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.harness.transport import VerilatedTransport
from spatten_hw.sim.status import Status
from spatten_hw.units import UNITS

from .bounds import Bound, layer_bound, total
from .operands import BenchPlan
from .traffic import Reads

#: Counters by what they say of a unit.
BUSY = tuple(unit.event for unit in UNITS if unit.busy)
STALL = tuple(unit.event for unit in UNITS if unit.stall)
#: Seconds between two lines of progress on a step.
QUIET = 2.0
#: Cycles simulated between two looks at the clock.
SLICE = 20_000


@dataclass
class Measurement:
    """What a run of a plan took. `counters`: the hardware's own; `jobs`: cycles of each pass, from the moment the
    host saw the one before end to the moment it saw this one end (they add up to `cycles`); `bounds`: of each
    pass; `mismatches`: where hardware and golden model differ, in words; `seconds`: of simulation.

    If asked for, `window`: cycles from the first command for K rows to the last sums of Prob×V; `reads`: of each
    channel (addresses, sizes), in the order in which they were accepted. `dram`: what each channel of a modelled memory
    did."""

    cycles: int
    counters: dict[str, int]
    jobs: list[int]
    bounds: list[Bound]
    results: list[LayerResult]
    mismatches: list[str] = field(default_factory=list)
    seconds: float = 0.0
    window: int = 0
    reads: list[Reads] = field(default_factory=list)
    dram: list[DramStats] = field(default_factory=list)


class TellingTransport(VerilatedTransport):
    """A simulation that calls `tell` now and then while it waits."""

    tell: Callable[[], None] | None = None

    def wait_irq(self, max_cycles: int) -> bool:
        """As in the base class, a slice at a time."""
        end = self.cycles + max_cycles
        while (left := end - self.cycles) > 0:
            if super().wait_irq(min(left, SLICE)):
                return True
            if self.tell is not None:
                self.tell()
        return False


class Progress:
    """How far a run is, on a `Status`: every step when it begins, then at most every `QUIET` seconds."""

    def __init__(self, status: Status, name: str):
        self.status, self.name = status, name
        self._step, self._said = "", 0.0

    def show(self, step: str, how_far: str) -> None:
        """Step `step` of the run is at `how_far`."""
        if step != self._step or time.monotonic() - self._said >= QUIET:
            self._step, self._said = step, time.monotonic()
            self.status.show(f"{self.name}, {step}: {how_far}")


class Bench:
    """A simulation of `config` and a place to say how far things are. A context manager. `optimize`: the compiler's
    level; None: the usual one."""

    def __init__(self, config: SpAttenConfig, status: Status, latency: int = 16, memory: DramTiming | None = None,
                 optimize: int | None = None):
        self.config, self.status, self.memory = config, status, memory
        self.transport = TellingTransport(
            config, latency=latency, memory=memory, optimize=optimize,
            progress=lambda text: status.show(f"building the simulation: {text}"))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def run(self, name: str, plan: BenchPlan, golden: list[LayerResult] | None = None, *, window: bool = False,
            reads: bool = False) -> Measurement:
        """All passes of a plan, queued back to back, on hardware fresh from reset; each compared with the golden
        model's (`golden`, if they are known already). `window`, `reads`: measure these, too."""
        progress = Progress(self.status, name)
        count = len(plan.passes)
        if golden is None:
            golden = golden_results(plan, self.config, lambda done, *_: progress.show(
                "golden model", f"job {done + 1} of {count}"))
        bounds = [layer_bound(p.job, r, self.config) for p, r in zip(plan.passes, golden, strict=True)]
        least = total(bounds).limit
        self.transport.reset()
        self.transport.record(window)
        self.transport.record_reads(reads)
        if self.memory is not None:
            self.transport.clear_dram_stats()
        origin = self.transport.cycles
        self.transport.tell = lambda: progress.show(
            "simulation", f"cycle {self.transport.cycles - origin}, {least:.0f} at least")
        self.transport.tell()
        driver = Driver(self.config, self.transport)
        mismatches: list[str] = []
        jobs: list[int] = []
        start = time.monotonic()
        for outcome, expected in zip(driver.run_layers(plan), golden, strict=True):
            self.transport.tell()
            mismatches += compare_pass(outcome, expected)
            jobs.append(outcome.cycles)
        seconds = time.monotonic() - start
        dram = [] if self.memory is None else self.transport.dram_stats()
        counters = driver.counters()
        mismatches += compare_counters(counters, golden)
        return Measurement(counters.cycles, dict(counters.values), jobs, bounds, golden,
                           [f"{name}: {text}" for text in mismatches], seconds, self._window() if window else 0,
                           [self.transport.reads(c) for c in range(self.config.channels)] if reads else [], dram)

    def _window(self) -> int:
        spans = self.transport.spans()
        return max(s.last for s in spans if s.stream == "sums") - min(s.first for s in spans if s.stream == "k_walk")
