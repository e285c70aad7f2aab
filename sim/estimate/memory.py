"""What a modelled memory makes of a job's reads: bandwidth, latency and rows opened, measured by replays.

A channel alone (`sim/dram/replay.py`) is given rows of the job's kind: K rows of the tokens alive, V rows of those
kept, in the order of their addresses, with what lies between left out. Patterns are measured once and remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.dram.replay import replay
from spatten_hw.sim.dram.timing import DramTiming

from .cycles import LATENCY
from .work import Work

#: Rows of a replay, and shares of rows read that are told apart.
ROWS, SHARES = 3000, 16


@dataclass(frozen=True)
class Pattern:
    """Per byte asked for: `time` in memory ns of a channel, DRAM `bursts`, `activates`; `latency`: of a lone read in
    ns. Each a number or an array [N]."""

    time: np.ndarray
    bursts: np.ndarray
    activates: np.ndarray
    latency: float


@lru_cache(maxsize=4096)
def measured(timing: DramTiming, row_bytes: int, share: int) -> tuple[float, float, float]:
    """(ns, bursts, activates) per byte of reads of rows of `row_bytes` bytes, of which a random `share` of `SHARES` is
    read."""
    span = ROWS * SHARES // share
    which = np.sort(np.random.default_rng(3).choice(span, ROWS, replace=False))
    stats = replay(timing, which * row_bytes, row_bytes)
    asked = ROWS * row_bytes
    return stats.seconds * 1e9 / asked, stats.reads / asked, stats.activates / asked


@lru_cache(maxsize=64)
def lone_latency(timing: DramTiming) -> float:
    """ns of a read of one burst with nothing else to do, its bank closed."""
    return float(replay(timing, [0], timing.burst_bytes).latency_ns)


def pattern_of(work: Work, config: SpAttenConfig, timing: DramTiming) -> Pattern:
    """The mean over K's and V's rows of every job."""
    beat = config.beat_bytes
    rows = []
    for bits, share in ((work.k_bits, work.tokens / work.context),
                        (work.v_bits, np.where(work.generate > 0, work.union, work.tokens) / work.context)):
        nbytes = (np.ceil(work.dim * bits / 8 / beat) * beat).astype(int)
        level = np.clip(np.rint(share * SHARES), 1, SHARES).astype(int)
        rows.append((nbytes, level, share * nbytes))
    kinds = [np.array([measured(timing, int(b), int(n)) for b, n in zip(nbytes, level, strict=True)])
             for nbytes, level, _ in rows]
    weights = np.stack([weight for _, _, weight in rows])
    mean = sum(k * w[:, None] for k, w in zip(kinds, weights, strict=True)) / weights.sum(axis=0)[:, None]
    return Pattern(mean[:, 0], mean[:, 1], mean[:, 2], lone_latency(timing))


def slowness(pattern: Pattern | None, config: SpAttenConfig, timing: DramTiming | None) -> np.ndarray | float:
    """Cycles of a channel per beat: 1 on perfect memory, and at least, since a port takes a beat per cycle."""
    if pattern is None or timing is None:
        return 1.0
    return np.maximum(1, pattern.time * config.beat_bytes / timing.host_clock_ns)


def access(pattern: Pattern | None, config: SpAttenConfig,
           timing: DramTiming | None) -> tuple[float, np.ndarray | float]:
    """(latency of a read in cycles, `slowness`)."""
    if pattern is None or timing is None:
        return LATENCY, 1.0
    return pattern.latency / timing.host_clock_ns, slowness(pattern, config, timing)


def refresh_waits(cycles: np.ndarray, bound: np.ndarray, timing: DramTiming) -> np.ndarray:
    """Cycles [N] that refreshes add on average to jobs of `cycles`, where what waits for memory is one access after
    another. Where a unit binds (`bound`: its cycles), rows that wait hide them; of channels they are counted
    already."""
    share = timing.rfc / timing.refi if timing.refi else 0.0
    return share * np.maximum(0, cycles - bound)
