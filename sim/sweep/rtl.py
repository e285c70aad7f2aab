"""A point on the generated Verilog in simulation, compared with the golden model."""

from __future__ import annotations

from collections.abc import Callable

from spatten_hw.config import SpAttenConfig
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import verilog_digest
from spatten_hw.sim.bench.measure import BUSY, Bench, Measurement
from spatten_hw.sim.bench.report import Row
from spatten_hw.sim.bench.workload import run_requests
from spatten_hw.sim.dram.energy import energy
from spatten_hw.sim.harness.asked import asked_level
from spatten_hw.sim.status import Status

from .choices import Memory, Requests
from .layer import Layer

#: The compiler's level for configurations that are no preset: a point or a few are too short for more.
OPTIMIZE = 1


class Told(Status):
    """Tells a function what a simulation does."""

    def __init__(self, tell: Callable[[str], None]):
        super().__init__()
        self.tell = tell

    def show(self, text: str) -> None:
        """Passes it on."""
        self.tell(text)


def measure_rtl(config: SpAttenConfig, work: Layer | Requests, memory: Memory, tell: Callable[[str], None],
                ) -> tuple[dict[str, object], list[str]]:
    """The columns of a simulation (`metrics.METRICS`, without the kind), and where it differs from the golden model."""
    level = None if config in PRESETS.values() or asked_level() is not None else OPTIMIZE
    with Bench(config, Told(tell), memory.latency, memory.timing, optimize=level) as bench:
        if isinstance(work, Requests):
            file = work.read(config)
            row, last, _ = run_requests(bench, file, work.heads, work.order == "gathered")
            runs = [last]
        else:
            runs = [bench.run(work.name, work.plan(config, heads)) for heads in work.head_counts(config)]
            row = (Row.between(work.name, "", runs[0], runs[1], None) if work.steady else
                   Row.of(work.name, "", runs[0]))
    metrics: dict[str, object] = {
        "cycles": row.cycles, "cycles_per_query": row.cycles / row.items, "us": row.cycles * memory.clock / 1000,
        "bytes": sum(row.bytes.values()), **{f"bytes_{name}": count for name, count in row.bytes.items()},
        "bound_cycles": row.bound.limit, "bound": row.bound.binds,
        **{f"busy_{name}": row.counters[f"busy_{name}"] for name in BUSY}, "equal": not row.mismatches}
    if memory.timing is not None:
        metrics["dram_nj"] = _energy(runs[-1], memory) - (_energy(runs[0], memory) if len(runs) > 1 else 0)
    return {**metrics, "verilog_digest": verilog_digest(config)}, row.mismatches


def _energy(m: Measurement, memory: Memory) -> float:
    assert memory.timing is not None
    return energy(m.dram, memory.timing)["total"]
