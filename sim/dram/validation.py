"""Traces whose outcome a published simulator has told, and what this model makes of them.

Reference: Ramulator 2.1 (CMU-SAFARI): reads only, 32-entry queue kept full, FR-FCFS, open page, all banks refreshed at
once; HBM2: 100,000 reads of 32 B.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .replay import replay, replay_trace
from .stats import DramStats
from .timing import DDR3_1600, DDR4_2400, HBM2, DramTiming

READS = 100_000
_SEED = 7


@dataclass(frozen=True)
class Row:
    """A trace and the reference's figures: bandwidth in 10^9 bytes per second, mean latency in ns (None: not known)."""

    name: str
    timing: DramTiming
    trace: Callable[[DramTiming], np.ndarray]
    gb_s: float
    latency_ns: float | None = None

    def run(self) -> DramStats:
        """The model's outcome."""
        return replay(self.timing, self.trace(self.timing), self.timing.burst_bytes, queue=32)


def sequential(t: DramTiming) -> np.ndarray:
    """Bursts at ascending addresses."""
    return np.arange(READS) * t.burst_bytes


def one_group(t: DramTiming) -> np.ndarray:
    """Ascending addresses under a mapping that goes through the banks of a group before the next group."""
    columns = t.row_bytes // t.burst_bytes
    places, rest = [], np.arange(READS)
    for size in (t.pseudo_channels, columns, t.banks, t.bank_groups):
        places.append(rest % size)
        rest = rest // size
    channel, column, bank, group = places
    return _addresses(t, channel, group, bank, rest, column)


def random_blocks(size: int) -> Callable[[DramTiming], np.ndarray]:
    """Blocks of `size` bytes, each in one row of one bank, at random places."""
    def trace(t: DramTiming) -> np.ndarray:
        per_block = size // t.burst_bytes
        columns = t.row_bytes // t.burst_bytes
        rng = np.random.default_rng(_SEED)
        block = rng.integers(0, [t.pseudo_channels, t.bank_groups, t.banks, 1 << 14, columns // per_block],
                             size=(READS // per_block, 5))
        channel, group, bank, row, at = np.repeat(block, per_block, axis=0).T
        return _addresses(t, channel, group, bank, row, at * per_block + np.arange(len(at)) % per_block)
    return trace


def mapped(size: int) -> Callable[[DramTiming], np.ndarray]:
    """Addresses of blocks of `size` bytes at random places of 512 MB: whichever banks the mapping gives them."""
    def trace(t: DramTiming) -> np.ndarray:
        return np.random.default_rng(_SEED).integers(0, (1 << 29) // size, READS * t.burst_bytes // size) * size
    return trace


def one_bank(t: DramTiming) -> np.ndarray:
    """Another row of the same bank every time (a fifth of the reads)."""
    n = np.arange(READS // 5)
    return _addresses(t, 0 * n, 0 * n, 0 * n, n, 0 * n)


def unloaded_latencies(t: DramTiming) -> dict[str, float]:
    """Latency in ns of single reads: row hit, closed bank, row conflict."""
    first, same, other = t.address(row=1), t.address(row=1, column=1), t.address(row=2)
    arrivals = np.array([0, 200, 400])
    done = replay_trace(t.replace(refi=0), [first, same, other], t.burst_bytes, arrivals=arrivals).done
    closed, hit, conflict = (float(v) * t.clock_ns for v in done.astype(np.int64) - arrivals)
    return {"row hit": hit, "closed bank": closed, "row conflict": conflict}


def _addresses(t: DramTiming, *places: np.ndarray) -> np.ndarray:
    names = ("pseudo_channel", "bank_group", "bank", "row", "column")
    return np.array([t.address(**dict(zip(names, map(int, place), strict=True)))
                     for place in zip(*places, strict=True)], dtype=np.uint64)


ROWS = (
    Row("HBM2, sequential", HBM2, sequential, 29.48, 50.7),
    Row("HBM2, sequential in one bank group", HBM2, one_group, 16.04, 80.4),
    Row("HBM2, random 32 B", HBM2, random_blocks(32), 9.88, 134.6),
    Row("HBM2, random 64 B", HBM2, random_blocks(64), 17.39, 82.4),
    Row("HBM2, random 128 B", HBM2, random_blocks(128), 20.16, 70.6),
    Row("HBM2, random rows of 1 KB", HBM2, random_blocks(1024), 14.17, 88.7),
    Row("HBM2, one bank, a row conflict each", HBM2, one_bank, 0.62),
    Row("DDR4-2400R, sequential", DDR4_2400, sequential, 18.28),
    Row("DDR4-2400R, random 64 B", DDR4_2400, random_blocks(64), 11.23),
    Row("DDR3-1600K, sequential", DDR3_1600, sequential, 12.34),
    Row("DDR3-1600K, random 64 B", DDR3_1600, random_blocks(64), 8.15),
)
#: Reference's latencies of single reads of HBM2, ns.
UNLOADED = {"row hit": 17, "closed bank": 32, "row conflict": 45}
