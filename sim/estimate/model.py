"""Cycles, bytes, operations and energy of N jobs on a build: `estimate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.dram.timing import DramTiming

from .busy import busy_cycles, operations
from .cycles import job_times
from .energy import chip_energy, dram_energy
from .energy_table import PUBLISHED_45NM, EnergyTable
from .memory import access, pattern_of, refresh_waits, slowness
from .traffic import bytes_moved
from .work import Work


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
    pattern = None if memory is None else pattern_of(work, config, memory)
    busy["channels"] = busy["channels"] * slowness(pattern, config, memory)
    names = list(busy)
    cycles = job_times(work, config, *access(pattern, config, memory)).end
    needs = np.stack([busy[name] for name in names])
    if memory is not None:
        cycles = cycles + np.where(work.generate > 0, refresh_waits(cycles, needs.max(axis=0), memory), 0)
    energy = chip_energy(work, config, bytes_, cycles, table)
    if memory is not None and pattern is not None:
        energy |= dram_energy(bytes_, cycles, config, memory, pattern)
    bound = np.array(names)[needs.argmax(axis=0)]
    return Estimates(cycles, busy, bound, bytes_, operations(work), energy)
