"""Cycles, bytes, operations and energy of N jobs on a build: `estimate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.dram.timing import DramTiming

from .busy import busy_cycles, operations
from .energy import chip_energy, dram_energy
from .energy_table import PUBLISHED_45NM, EnergyTable
from .memory import Pattern, pattern_of
from .traffic import bytes_moved
from .work import Work

#: Cycles of a job beside its limit, until calibrated: start, the way of the last vector, the write's answer.
FIXED = 200


@dataclass(frozen=True)
class Estimates:
    """Of N jobs, every array [N]. `cycles`: of the job alone, from its start to its completion; `busy`: unit → cycles
    that it needs at least; `bound`: the unit that needs most; `bytes`: class → bytes on the bus; `operations`:
    multiply-accumulates "dense", "Q×K", "Prob×V", "done"; `energy`: part → nJ ("dram …" only with a memory)."""

    cycles: np.ndarray
    busy: dict[str, np.ndarray]
    bound: np.ndarray
    bytes: dict[str, np.ndarray]
    operations: dict[str, np.ndarray]
    energy: dict[str, np.ndarray]

    @property
    def total_energy(self) -> np.ndarray:
        """nJ [N], all parts."""
        return np.sum(list(self.energy.values()), axis=0)

    @property
    def total_bytes(self) -> np.ndarray:
        """Bytes [N], all classes."""
        return np.sum(list(self.bytes.values()), axis=0)


def estimate(work: Work, config: SpAttenConfig, memory: DramTiming | None = None,
             table: EnergyTable = PUBLISHED_45NM) -> Estimates:
    """Every job on its own on `config`. `memory`: a model of DRAM behind each port; None: memories that answer after 8
    cycles at full bandwidth. `table`: energy of events on the chip."""
    bytes_ = bytes_moved(work, config)
    busy = busy_cycles(work, config, bytes_)
    pattern: Pattern | None = None
    if memory is not None:
        pattern = pattern_of(work, config, memory)
        # A port gives a beat per cycle at most.
        busy["channels"] = busy["channels"] * np.maximum(1, pattern.time * config.beat_bytes / memory.host_clock_ns)
    names = list(busy)
    needs = np.stack([busy[name] for name in names])
    cycles = needs.max(axis=0) + FIXED
    energy = chip_energy(work, config, bytes_, cycles, table)
    if memory is not None and pattern is not None:
        energy |= dram_energy(bytes_, cycles, config, memory, pattern)
    return Estimates(cycles, busy, np.array(names)[needs.argmax(axis=0)], bytes_, operations(work), energy)


def sequence(work: Work, config: SpAttenConfig, memory: DramTiming | None = None) -> float:
    """Cycles of jobs that follow each other in the queue, one batch without gaps: a job is scored while the outputs of
    the one before are made, so only the last one's end shows."""
    found = estimate(work, config, memory)
    return float((found.cycles - FIXED).sum() + FIXED)
