"""What all parts of the evaluation share: options, the 30 benchmarks, and a store of finished points, so that a stopped
run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.sim.dram.timing import HBM2, DramTiming
from spatten_hw.sim.evaluate.store import Store
from spatten_hw.sim.rivals.benchmarks import Benchmark, benchmarks

#: Raised when stored points of the same inputs would change.
REVISION = 1


@dataclass
class Study:
    """`store` None: nothing is kept. `workload`: requests in the authors' columns; `silicon`: JSON of `bench silicon`;
    `liberty`: standard cells for gates; `simulate`: whether what takes a simulation or synthesis may run, or is only
    taken from the store; `cpu`: whether to measure the CPU at hand; `rivals`, `on`: names of rivals and workloads to
    compare (None: the usual ones, and those that were added). `say`: progress."""

    store: Store | None = None
    workload: Path | None = None
    silicon: Path | None = None
    liberty: Path | None = None
    simulate: bool = True
    cpu: bool = False
    rivals: list[str] | None = None
    on: list[str] | None = None
    memory: DramTiming = HBM2
    say: Callable[[str], None] = field(default=lambda text: None)

    @cached_property
    def benchmarks(self) -> list[Benchmark]:
        """All 30."""
        return benchmarks()

    def point(self, what: str, inputs: dict[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """The result of `compute` for these inputs (JSON), from the store if it is there. None: it is not, and may not
        be computed."""
        text = json.dumps([REVISION, what, inputs], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        if self.store is not None and key in self.store.results:
            return self.store.results[key]
        if not self.simulate:
            return None
        self.say(what)
        result = compute()
        if self.store is not None:
            self.store.put(key, result)
        return result


def means(values: np.ndarray) -> dict[str, float]:
    """Arithmetic, geometric and harmonic mean."""
    return {"arithmetic": float(values.mean()), "geometric": float(np.exp(np.log(values).mean())),
            "harmonic": float(1 / (1 / values).mean())}


def geometric(values: np.ndarray) -> float:
    """The mean that averages of ratios here are."""
    return means(values)["geometric"]
