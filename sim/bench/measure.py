"""Runs passes on the simulated hardware and on the golden model, and says what the hardware took for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sim.bench.bounds import Bound, layer_bound
from sim.bench.operands import BenchPlan
from sim.engine import compare_counters, compare_pass
from sim.golden.accelerator import LayerResult
from sim.golden.integer_engine import golden_results
from sim.harness.transport import VerilatedTransport
from sim.status import Status
from spatten_hw.config import SpAttenConfig
from spatten_hw.host.driver import Driver

#: Counters by what they say of a unit.
BUSY = ("fetch", "score", "softmax", "topk", "value", "write", "cascade")
STALL = ("fetch", "score", "value")
#: Seconds between two lines of progress.
QUIET = 2.0


@dataclass
class Measurement:
    """What a run of a plan took. `counters`: the hardware's own; `jobs`: cycles of each pass, from the moment the
    host saw the one before end to the moment it saw this one end (they add up to `cycles`); `bounds`: of each
    pass; `mismatches`: where hardware and golden model differ, in words; `seconds`: of simulation."""

    cycles: int
    counters: dict[str, int]
    jobs: list[int]
    bounds: list[Bound]
    results: list[LayerResult]
    mismatches: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Bench:
    """A simulation of `config` and a place to say how far things are. A context manager."""

    def __init__(self, config: SpAttenConfig, status: Status, latency: int = 16):
        self.config, self.status = config, status
        self.transport = VerilatedTransport(
            config, latency=latency, progress=lambda text: status.show(f"building the simulation: {text}"))
        self._said = 0.0

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def _telling(self, name: str) -> Callable[[int, int, str], None]:
        """Progress now and then; every run says at least where it begins."""
        self._said = 0.0

        def tell(done: int, total: int, text: str) -> None:
            if time.monotonic() - self._said >= QUIET:
                self._said = time.monotonic()
                self.status.show(f"{name}, {text} ({done + 1}/{total})")
        return tell

    def run(self, name: str, plan: BenchPlan) -> Measurement:
        """All passes of a plan, queued back to back, on hardware fresh from reset; each compared with the golden
        model's."""
        tell = self._telling(name)
        golden = golden_results(plan, self.config, tell)
        self.transport.reset()
        driver = Driver(self.config, self.transport)
        mismatches: list[str] = []
        jobs: list[int] = []
        start = time.monotonic()
        tell(0, len(golden), "hardware")
        for number, (outcome, expected) in enumerate(zip(driver.run_layers(plan), golden, strict=True)):
            tell(number, len(golden), f"hardware, {outcome.layer_pass.name}")
            mismatches += compare_pass(outcome, expected)
            jobs.append(outcome.cycles)
        seconds = time.monotonic() - start
        counters = driver.counters()
        mismatches += compare_counters(counters, golden)
        bounds = [layer_bound(p.job, r, self.config) for p, r in zip(plan.passes, golden, strict=True)]
        return Measurement(counters.cycles, dict(counters.values), jobs, bounds, golden,
                           [f"{name}: {text}" for text in mismatches], seconds)
