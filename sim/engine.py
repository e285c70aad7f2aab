"""Runs a workload on one of three engines: float64, golden integers, or the generated hardware in simulation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.driver import Driver
from spatten_hw.host.outcome import Counters, LayerOutcome
from spatten_hw.host.plan import Plan
from spatten_hw.host.results import Outputs, dense_bytes
from spatten_hw.host.transport import Transport
from spatten_hw.host.workload import Workload, check_build
from spatten_hw.sim.golden.float_engine import run_float
from spatten_hw.sim.golden.integer_engine import GoldenRun, Progress, put, put_scores, run_golden
from spatten_hw.sim.golden.layer_result import LayerResult

ENGINES = ("rtl", "golden", "float")

TransportFactory = Callable[[SpAttenConfig], Any]


@dataclass
class RunResult:
    """What `run_workload` returns. `bytes` by class (the hardware's own counters for rtl); `bit_exact` and
    `cycles` only from the hardware; `mismatches` says in words where hardware and golden model differ."""

    engine: str
    config: SpAttenConfig
    outputs: Outputs
    bytes: dict[str, int] | None
    dense_bytes: int
    dense_bytes_16: int
    max_abs_error: float
    cosine: float
    bit_exact: bool | None = None
    cycles: int | None = None
    seconds: float = 0.0
    mismatches: list[str] = field(default_factory=list)

    @property
    def report(self) -> dict[str, object]:
        """The JSON of the output contract."""
        return {
            "preset": self.config.name, "config_hash": f"{self.config.hash:08x}", "engine": self.engine,
            "bit_exact": self.bit_exact, "cycles": self.cycles, "bytes": self.bytes,
            "dense_bytes": self.dense_bytes, "dense_bytes_16": self.dense_bytes_16,
            "layers": [
                {"step": s.step, "layer": s.layer, "tokens": s.tokens, "heads": s.heads, "queries": s.queries,
                 "refetched": s.refetched, "cycles": s.cycles, "bytes": s.bytes}
                for s in self.outputs.layers],
            "max_abs_error": self.max_abs_error, "cosine": self.cosine,
            **({"mismatches": self.mismatches} if self.mismatches else {}),
        }


def run_workload(workload: Workload, config: SpAttenConfig, engine: str,
                 transport_factory: TransportFactory | None = None, progress: Progress | None = None,
                 cycle_limit: int | None = None) -> RunResult:
    """Runs `workload` on `engine` and compares with the float engine.

    `rtl` always runs the golden model too and compares bit for bit. `transport_factory` makes its transport
    (default: the Verilator simulation of `config`, a context manager). Raises `UserError` for what the build
    cannot do, before anything runs.
    """
    if engine not in ENGINES:
        raise UserError(f"unknown engine '{engine}': use one of {', '.join(ENGINES)}")
    report = progress or (lambda done, total, text: None)
    start = time.perf_counter()
    check_build(workload, config)
    bit_exact, cycles, byte_counts, mismatches = None, None, None, []
    if engine == "float":
        outputs = reference = run_float(workload)
    else:
        plan = Plan(workload, config)
        reference = run_float(workload)
        golden = run_golden(plan, report)
        outputs, byte_counts = golden.outputs, golden.outputs.bytes
        if engine == "rtl":
            hardware = run_hardware(plan, golden, transport_factory or verilated, report, cycle_limit)
            outputs, cycles, mismatches = hardware.outputs, hardware.cycles, hardware.mismatches
            byte_counts = hardware.bytes
            bit_exact = not mismatches
    error, cosine = compare(outputs.out, reference.out)
    return RunResult(engine, config, outputs, byte_counts, dense_bytes(workload), dense_bytes(workload, 16), error,
                     cosine, bit_exact, cycles, time.perf_counter() - start, mismatches)


def compare(out: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """(largest absolute difference, cosine similarity); two all-zero arrays are alike."""
    a, b = out.reshape(-1), reference.reshape(-1)
    # The same factor for both changes no cosine, and keeps squares inside float range.
    peak = max(np.max(np.abs(a)), np.max(np.abs(b)))
    scale = peak if peak > 0 else 1.0
    x, y = a / scale, b / scale
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    if np.array_equal(a, b):
        return 0.0, 1.0
    if norm == 0:
        return float(np.max(np.abs(a - b))), 0.0
    return float(np.max(np.abs(a - b))), min(1.0, float(x @ y) / norm)


# -- hardware -------------------------------------------------------------------------------------------


@dataclass
class HardwareRun:
    """What the hardware gave, its counters, and where it differs from the golden model."""

    outputs: Outputs
    cycles: int
    bytes: dict[str, int]
    mismatches: list[str]


def verilated(config: SpAttenConfig) -> Any:
    """The simulation of `config`'s Verilog (compiled at first use)."""
    from spatten_hw.sim.harness.transport import VerilatedTransport
    return VerilatedTransport(config)


def run_hardware(plan: Plan, golden: GoldenRun, factory: TransportFactory, progress: Progress,
                 cycle_limit: int | None = None) -> HardwareRun:
    """All passes of a plan on the hardware, every result compared with the golden model's."""
    progress(0, len(plan.passes), "building the simulation" if factory is verilated else "opening the accelerator")
    with factory(plan.config) as transport:
        # Boards have less memory than addresses: say so before anything is sent.
        room = getattr(transport, "memory_bytes", None)
        if room is not None and plan.arena.next > room:
            raise UserError(f"{plan.workload.source}: needs {plan.arena.next} bytes of memory, the board has {room}: "
                            "give fewer tokens, heads or layers, or use a board with more memory")
        return _run_hardware(plan, golden, transport, progress, cycle_limit)


def _run_hardware(plan: Plan, golden: GoldenRun, transport: Transport, progress: Progress,
                  cycle_limit: int | None) -> HardwareRun:
    driver = Driver(plan.config, transport)
    outputs = Outputs.empty(plan.workload)
    mismatches: list[str] = []
    words = None
    outcomes = driver.run_layers(plan, cycle_limit=cycle_limit)
    for done, (outcome, expected) in enumerate(zip(outcomes, golden.results, strict=True), 1):
        progress(done, len(plan.passes), f"hardware, {outcome.layer_pass.name}")
        mismatches += compare_pass(outcome, expected)
        words = outcome.scores
        # Counters cannot be read between jobs that run back to back: which rows fetched LSBs, and a layer's
        # bytes, are the golden model's; their sums are compared below.
        seen = dataclasses.replace(
            expected, out=np.where(expected.written[..., None], outcome.out, 0),
            tokens_alive=outcome.tokens_alive, heads_alive=outcome.heads_alive)
        put(outputs, plan, outcome.layer_pass, seen, outcome.cycles)
    put_scores(outputs, plan, words)
    counters = driver.counters()
    mismatches += compare_counters(counters, golden.results)
    return HardwareRun(outputs, counters.cycles, counters.bytes, mismatches)


def compare_counters(counters: Counters, golden: Sequence[LayerResult]) -> list[str]:
    """Where the totals of bytes, queries and refetches differ from the golden model's, in words."""
    pairs = {f"bytes of {name}": (count, sum(r.bytes[name] for r in golden))
             for name, count in counters.bytes.items()}
    pairs["queries"] = counters.queries, sum(r.queries for r in golden)
    pairs["LSB refetches"] = counters.refetched, int(sum(r.refetched.sum() for r in golden))
    return [f"{what}: hardware {got}, golden {want}" for what, (got, want) in pairs.items() if got != want]


def compare_pass(outcome: LayerOutcome, expected: LayerResult) -> list[str]:
    """Where one pass differs from the golden model, in words."""
    where = outcome.layer_pass.name
    found = []
    for what, got, want in (("surviving ids", outcome.ids, expected.ids),
                            ("scores", outcome.scores, expected.scores)):
        if want is not None and (got is None or not np.array_equal(got, want)):
            found.append(f"{where}: {what} differ")
    wrong = np.argwhere((outcome.out != expected.out) & expected.written[..., None])
    if len(wrong):
        head, row, element = wrong[0]
        found.append(f"{where}: {len(wrong)} outputs differ, first at head {head}, query {row}, element {element}: "
                     f"hardware {outcome.out[head, row, element]}, golden {expected.out[head, row, element]}")
    if np.any(outcome.touched & ~expected.written):
        found.append(f"{where}: output rows of pruned queries were written")
    return found
