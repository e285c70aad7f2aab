"""The work that power is measured under: a prompt and a step of generation, on the simulated hardware with its memory.

Both are cases as `bench attention` has them (random operands, scores spread like those of real attention), compared bit
for bit with the golden model. In windows spread evenly over a run what registers and ports hold is written down.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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

from .vcd import Trace
from .watched import WatchedTransport, watched_library

#: Windows of a run, and cycles of each: what a trace of some hundred megabytes holds of `full`.
WINDOWS, CYCLES = 12, 64
#: Behind every channel.
MEMORY = HBM2


def cases(config: SpAttenConfig) -> list[Case]:
    """A prompt of 384 tokens, half of whose values are kept, and a generation step over 1,000 tokens of 8 bits, a fifth of
    whose values are kept; less where the build is smaller."""
    dim = max((d for d in config.dims if d <= 64), default=config.chunk)
    prompt = min(384, config.max_tokens, longest_prompt(config, dim))
    context = min(1000, config.max_tokens)
    return [Case("prompt", prompt, dim, widest(12, config), keep=prompt // 2, heads=1),
            Case("generation", context, dim, widest(8, config), keep=context // 5, generate=True,
                 heads=min(12, config.max_heads))]


@dataclass(frozen=True)
class Run:
    """What a case did. `macs`: of Q×K and of Prob×V, as many as the result needed; `dram_nj`: by cause, of all channels;
    `windows`: cycles that the trace holds."""

    case: Case
    measured: Measurement
    macs: tuple[int, int]
    dram_nj: dict[str, float]
    windows: tuple[tuple[int, int], ...]
    trace: Trace

    @property
    def cycles(self) -> int:
        return self.measured.cycles

    @property
    def bytes(self) -> int:
        """Moved over the memory ports."""
        return sum(s.bytes_read + s.bytes_written for s in self.measured.dram)


class WatchedBench(Bench):
    """A bench whose simulation writes its trace to a file."""

    def __init__(self, config: SpAttenConfig, status: Status, verilog: str, trace: Path, memory: DramTiming):
        self.config, self.status, self.memory = config, status, memory
        library = watched_library(config, verilog, lambda text: status.show(f"building the simulation: {text}"))
        self.transport: WatchedTransport = WatchedTransport(config, library, trace, memory)


@contextmanager
def watched_run(case: Case, config: SpAttenConfig, verilog: str, status: Status,
                memory: DramTiming = MEMORY) -> Iterator[Run]:
    """The case on the hardware; its trace is there as long as the context. Raises `UserError` if hardware and golden model
    differ."""
    plan = case.plan(config, case.heads)
    status.show(f"{case.name}: golden model")
    golden = golden_results(plan, config, lambda *_: None)
    least = total([layer_bound(p.job, r, config) for p, r in zip(plan.passes, golden, strict=True)]).limit
    with tempfile.TemporaryDirectory(prefix="silicon-") as folder:
        trace = Path(folder) / "trace.vcd"
        with WatchedBench(config, status, verilog, trace, memory) as bench:
            bench.transport.begin(max(2 * CYCLES, int(least) // WINDOWS), CYCLES)
            measured = bench.run(case.name, plan, golden)
            bench.transport.finish()
        if measured.mismatches:
            raise UserError(f"{case.name}: hardware and golden model differ: {measured.mismatches[0]}")
        yield Run(case, measured, macs(case), energy(measured.dram, memory), tuple(bench.transport.windows),
                  Trace(trace))


def macs(case: Case) -> tuple[int, int]:
    """Multiplications with accumulation of Q×K and of Prob×V that the case's result needs."""
    rows = case.heads * (1 if case.generate else case.tokens)
    return rows * case.tokens * case.dim, rows * (case.keep or case.tokens) * case.dim
