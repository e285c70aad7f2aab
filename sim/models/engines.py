"""What computes the attention of a `PrunedEncoder`: the golden model, or the hardware checked against it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.driver import Driver
from spatten_hw.host.plan import LayerPass, Passes
from spatten_hw.host.results import BYTE_CLASSES
from spatten_hw.host.transport import Transport
from spatten_hw.sim.engine import compare_pass
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.layer_result import LayerResult


class Task(Passes, Protocol):
    """One layer job: a plan of one pass, with what to put into memory for it."""

    @property
    def layer_pass(self) -> LayerPass: ...


class Outcome(Protocol):
    """What a layer leaves behind: of the golden model (`LayerResult`) or of the hardware."""

    @property
    def out(self) -> np.ndarray: ...
    @property
    def tokens_alive(self) -> np.ndarray: ...
    @property
    def heads_alive(self) -> np.ndarray: ...
    @property
    def bytes(self) -> dict[str, int]: ...


class Scored(Outcome, Protocol):
    """An outcome with what a report needs: of the golden model or of the hardware checked against it."""

    @property
    def refetched(self) -> np.ndarray: ...
    @property
    def queries(self) -> int: ...
    @property
    def token_scores(self) -> np.ndarray: ...
    @property
    def head_scores(self) -> np.ndarray: ...


class GoldenEngine:
    """The bit-exact model."""

    def __init__(self, config: SpAttenConfig):
        self.accelerator = GoldenAccelerator(config)

    def __call__(self, task: Task) -> LayerResult:
        p = task.layer_pass
        return self.accelerator.run(p.job, p.q, p.k, p.v, descriptor=p.descriptor)


@dataclass(frozen=True)
class HardwareOutcome:
    """What the hardware left in memory and in its counters; outputs of pruned rows are 0.

    Which rows fetched LSBs and the scores, which a layer does not store, are the golden model's (`LayerResult`).
    """

    out: np.ndarray
    tokens_alive: np.ndarray
    heads_alive: np.ndarray
    bytes: dict[str, int]
    queries: int
    cycles: int
    refetched: np.ndarray
    token_scores: np.ndarray
    head_scores: np.ndarray


#: Counters that an outcome has.
COUNTED = ("cycles", "queries", *(f"bytes_{name}" for name in BYTE_CLASSES))


@dataclass
class HardwareEngine:
    """The hardware behind a transport; every layer is compared with the golden model, bit for bit.

    What differs goes to `mismatches`, in words; the hardware's results are used all the same. `cycles` counts
    cycles in which a job ran. The golden model computes while the hardware does: a simulation leaves Python alone.
    """

    config: SpAttenConfig
    transport: Transport
    cycles: int = 0
    compared: int = 0
    mismatches: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.golden = GoldenEngine(self.config)
        self.driver = Driver(self.config, self.transport)
        self._aside = ThreadPoolExecutor(1)

    def __call__(self, task: Task) -> HardwareOutcome:
        promised = self._aside.submit(self.golden, task)
        (outcome,) = self.driver.run_layers(task)
        counters, expected = self.driver.counters(COUNTED), promised.result()
        self.cycles += counters.cycles
        self.compared += int(expected.written.sum()) * task.layer_pass.job.dim
        self.mismatches += compare_pass(outcome, expected)
        for name in BYTE_CLASSES:
            if counters.bytes[name] != expected.bytes[name]:
                self.mismatches.append(f"{task.layer_pass.name}: bytes of {name}: hardware {counters.bytes[name]}, "
                                       f"golden {expected.bytes[name]}")
        out = np.where(outcome.touched[..., None], outcome.out, 0)
        return HardwareOutcome(out, outcome.tokens_alive, outcome.heads_alive, counters.bytes, counters.queries,
                               counters.cycles, expected.refetched, expected.token_scores, expected.head_scores)


def compared_lines(mismatches: Sequence[str], compared: int, what: str) -> list[str]:
    """What a report says of the comparison with the golden model, at most 20 differences. `what`: what was compared
    each, "layer" or "job"."""
    if mismatches:
        return [f"RTL DIFFERS from the golden model in {len(mismatches)} places:", *(f"  {m}" for m in mismatches[:20])]
    return [f"RTL equals the golden model bit for bit: {compared:,} outputs, surviving ids and byte counts of every "
            f"{what}"]
