"""The work that power is measured under: a prompt and a step of generation, on the simulated hardware with its memory.

Both are cases as `bench attention` has them (random operands, scores spread like those of real attention), compared bit
for bit with the golden model. In windows spread evenly over a run what registers and ports hold is written down.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.shape import longest_prompt
from spatten_hw.sim.bench.bounds import layer_bound, total
from spatten_hw.sim.bench.cases import Case, widest
from spatten_hw.sim.bench.measure import Bench, Measurement
from spatten_hw.sim.dram.energy import energy
from spatten_hw.sim.dram.timing import HBM2, DramTiming
from spatten_hw.sim.golden.integer_engine import golden_results
from spatten_hw.sim.status import Status

from .once import once
from .vcd import Trace
from .watched import WatchedTransport, watched_library

#: Windows of a run, and cycles of each: what a trace of some hundred megabytes holds of `full`.
WINDOWS, CYCLES = 12, 64
#: Behind every channel.
MEMORY = HBM2


def cases(config: SpAttenConfig) -> list[Case]:
    """A prompt of 384 tokens, half of whose values are kept, and a generation step over 1,000 tokens of 8 bits, a
    fifth of whose values are kept; less where the build is smaller."""
    dim = max((d for d in config.dims if d <= 64), default=config.chunk)
    prompt = min(384, config.max_tokens, longest_prompt(config, dim))
    context = min(1000, config.max_tokens)
    return [Case("prompt", prompt, dim, widest(12, config), keep=prompt // 2, heads=1),
            Case("generation", context, dim, widest(8, config), keep=context // 5, generate=True,
                 heads=min(12, config.max_heads))]


@dataclass(frozen=True)
class Run:
    """What a case did. `macs`: of Q×K and of Prob×V, as many as the result needed; `bytes`: moved over the memory
    ports; `dram_nj`: by cause, of all channels; `windows`: cycles that the trace holds; `trace`: runs it, unless it is
    there; `key`: names what it ran on and how."""

    case: Case
    cycles: int
    macs: tuple[int, int]
    bytes: int
    dram_nj: dict[str, float]
    windows: tuple[tuple[int, int], ...]
    trace: Callable[[], Trace]
    key: str


class WatchedBench(Bench):
    """A bench whose simulation writes its trace to a file."""

    def __init__(self, config: SpAttenConfig, status: Status, verilog: str, trace: Path, memory: DramTiming):
        self.config, self.status, self.memory = config, status, memory
        library = watched_library(config, verilog, lambda text: status.show(f"building the simulation: {text}"))
        self.watched = WatchedTransport(config, library, trace, memory)
        self.transport = self.watched

    def __enter__(self) -> WatchedBench:
        return self


class Runs:
    """The cases of a configuration on the hardware. A context manager, in which traces stay: what a run did is kept in
    the build folder, its trace is not, and is made again if it is asked for."""

    def __init__(self, config: SpAttenConfig, verilog: str, status: Status, memory: DramTiming = MEMORY):
        self.config, self.verilog, self.status, self.memory = config, verilog, status, memory
        self._folder = tempfile.TemporaryDirectory(prefix="silicon-")
        self._traces: dict[str, Trace] = {}

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, case: Case) -> Run:
        """Raises `UserError` if hardware and golden model differ."""
        text = f"{self.verilog} {case} {self.memory} {WINDOWS} {CYCLES}"
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        facts = once(f"run-{key}", lambda: self._simulate(case))
        return Run(case, facts["cycles"], macs(case), facts["bytes"], facts["dram_nj"],
                   tuple((first, end) for first, end in facts["windows"]), lambda: self._trace(case), key)

    def facts(self, case: Case) -> Run:
        """The same without a trace, on the ordinary simulation."""
        text = f"{self.verilog} {case} {self.memory} facts"
        key = hashlib.sha256(text.encode()).hexdigest()[:16]

        def simulate() -> dict[str, Any]:
            with Bench(self.config, self.status, memory=self.memory) as bench:
                return self._facts(case, bench.run(case.name, case.plan(self.config, case.heads)))
        found = once(f"facts-{key}", simulate)

        def trace() -> Trace:
            raise ValueError(f"{case.name}: has no trace")
        return Run(case, found["cycles"], macs(case), found["bytes"], found["dram_nj"], (), trace, key)

    def _facts(self, case: Case, measured: Measurement) -> dict[str, Any]:
        if measured.mismatches:
            raise UserError(f"{case.name}: hardware and golden model differ: {measured.mismatches[0]}")
        return {"cycles": measured.cycles, "dram_nj": energy(measured.dram, self.memory),
                "bytes": sum(s.bytes_read + s.bytes_written for s in measured.dram)}

    def _trace(self, case: Case) -> Trace:
        if case.name not in self._traces:
            self._simulate(case)
        return self._traces[case.name]

    def _simulate(self, case: Case) -> dict[str, Any]:
        plan = case.plan(self.config, case.heads)
        self.status.show(f"{case.name}: golden model")
        golden = golden_results(plan, self.config, lambda *_: None)
        bounds = [layer_bound(p.job, r, self.config) for p, r in zip(plan.passes, golden, strict=True)]
        path = Path(self._folder.name) / f"{case.name}.vcd"
        with WatchedBench(self.config, self.status, self.verilog, path, self.memory) as bench:
            watched = bench.watched
            watched.begin(max(2 * CYCLES, int(total(bounds).limit) // WINDOWS), CYCLES)
            measured = bench.run(case.name, plan, golden)
            watched.finish()
        facts = self._facts(case, measured)
        self._traces[case.name] = Trace(path)
        return facts | {"windows": watched.windows}


def macs(case: Case) -> tuple[int, int]:
    """Multiplications with accumulation of Q×K and of Prob×V that the case's result needs."""
    rows = case.heads * (1 if case.generate else case.tokens)
    return rows * case.tokens * case.dim, rows * (case.keep or case.tokens) * case.dim
