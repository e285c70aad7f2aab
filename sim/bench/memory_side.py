"""What the memory did in a run: rows found open, latency, bandwidth of each channel, energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.sim.dram.energy import energy
from spatten_hw.sim.dram.replay import replay
from spatten_hw.sim.dram.stats import DramStats, total
from spatten_hw.sim.dram.timing import DramTiming

from .traffic import DENSE_BITS, Reads, dense_bytes, dense_reads

#: Energy that only time takes, by cause as `spatten_hw.sim.dram.energy` names them.
STANDING = ("refresh", "background")


@dataclass(frozen=True)
class MemorySide:
    """The channels of a run together, and `bandwidth`: bytes per accelerator cycle of each. `energy_nj`: by cause, and
    "total"; `dense_nj`: by width, energy of the accesses of the same layers dense."""

    stats: DramStats
    bandwidth: tuple[float, ...]
    energy_nj: dict[str, float]
    dense_nj: dict[int, float]
    burst_bytes: int

    @classmethod
    def of(cls, channels: Sequence[DramStats], cycles: int, jobs: Sequence[LayerJob], timing: DramTiming,
           config: SpAttenConfig) -> MemorySide:
        """Of jobs that took `cycles`.

        Dense energy: that per byte of a sample of the dense reads (`dense_reads` of the first job), each channel
        replayed by itself, times the bytes of all jobs.
        """
        dense = {}
        for bits in DENSE_BITS:
            sample = [replay(timing, r[:, 0], r[:, 1]) for r in dense_reads(jobs[0], bits, config) if len(r)]
            per_byte = _accesses(energy(sample, timing)) / sum(s.bytes_read for s in sample)
            dense[bits] = per_byte * sum(dense_bytes(job, bits) for job in jobs)
        return cls(total(channels), tuple((s.bytes_read + s.bytes_written) / cycles for s in channels),
                   energy(channels, timing), dense, timing.burst_bytes)

    @property
    def accesses(self) -> int:
        return max(1, self.stats.row_hits + self.stats.row_closed + self.stats.row_conflicts)

    @property
    def bytes(self) -> int:
        """Bytes that were asked for, read and written."""
        return self.stats.bytes_read + self.stats.bytes_written

    @property
    def access_nj(self) -> float:
        """Energy of activates, bursts and interface; what refreshes and standing by take depends on time alone."""
        return _accesses(self.energy_nj)

    @property
    def pj_per_bit(self) -> float:
        """Energy of the accesses per bit asked for."""
        return self.access_nj * 1000 / (8 * self.bytes)

    @property
    def burst_over_fetch(self) -> float:
        """Bytes of whole memory bursts per byte asked for over AXI."""
        return (self.stats.reads + self.stats.writes) * self.burst_bytes / self.bytes

    @property
    def as_json(self) -> dict[str, object]:
        s = self.stats
        return {"row_hits": s.row_hits, "row_closed": s.row_closed, "row_conflicts": s.row_conflicts,
                "hit_share": s.row_hits / self.accesses, "bank_group_waits": s.bank_group_waits,
                "mean_latency_ns": s.latency_ns, "max_latency_ns": s.max_latency_ns,
                "bytes_per_cycle": list(self.bandwidth), "burst_over_fetch": self.burst_over_fetch,
                "energy_nj": self.energy_nj, "access_energy_nj": self.access_nj, "pj_per_bit": self.pj_per_bit,
                "dense_access_energy_nj": {str(bits): nj for bits, nj in self.dense_nj.items()}}


def sustained(reads: Sequence[Reads], timing: DramTiming, config: SpAttenConfig, queue: int | None = 0) -> float:
    """Accelerator cycles in which memory and ports by themselves serve these reads, in a queue of `queue` bursts (0:
    without limit, all there from the start; None: the controller's own) that is kept full. The slowest channel decides;
    a port moves a beat per cycle."""
    cycles = [0.0]
    for r in reads:
        if len(r):
            clocks = replay(timing, r[:, 0], r[:, 1], queue=queue).clocks
            cycles.append(max(clocks * timing.clock_ns / timing.host_clock_ns, int(r[:, 1].sum()) / config.beat_bytes))
    return max(cycles)


def _accesses(by_cause: dict[str, float]) -> float:
    return by_cause["total"] - sum(by_cause[cause] for cause in STANDING)
