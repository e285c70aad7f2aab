"""Energy of jobs: events on the chip times `EnergyTable`, and DRAM by `sim/dram/energy.py`."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.dram.energy import constants
from spatten_hw.sim.dram.timing import DramTiming

from .busy import operations
from .energy_table import PUBLISHED_45NM, EnergyTable
from .memory import Pattern
from .work import Work


def chip_energy(work: Work, config: SpAttenConfig, bytes_: dict[str, np.ndarray], cycles: np.ndarray,
                table: EnergyTable = PUBLISHED_45NM) -> dict[str, np.ndarray]:
    """nJ by part [N]: "Q×K", "Prob×V", "sram" (K and V memories), "buffers", "softmax", "top-k", "output", "idle"."""
    w, c = work, config
    done = operations(w)
    word = c.operand_bits / 8
    prompt = w.generate == 0
    # Prompts: K and V rows are written once and read once per query that uses them.
    written = np.where(prompt, 2 * w.heads * w.tokens * w.dim * word, 0)
    read = np.where(prompt, (done["Q×K"] + done["Prob×V"]) * word, 0)
    keys = w.items * w.mean_keys * (1 + w.flat)
    pruned = (w.keep < w.mean_keys - 1e-9) | (w.by_mass > 0)
    parts = {
        "Q×K": done["Q×K"] * table.multiply_accumulate, "Prob×V": done["Prob×V"] * table.multiply_accumulate,
        "sram": (written + read) * table.sram_byte,
        "buffers": sum(bytes_.values(), np.zeros(len(w))) * table.buffer_byte,
        "softmax": keys * table.softmax_key,
        "top-k": w.items * w.mean_keys * np.where(pruned, c.engine.passes, 0) * table.topk_key,
        "output": w.items * w.dim * table.output,
        "idle": cycles * 2 * c.multipliers * table.idle_cycle,
    }
    return {name: picojoules / 1000 for name, picojoules in parts.items()}


def dram_energy(bytes_: dict[str, np.ndarray], cycles: np.ndarray, config: SpAttenConfig, timing: DramTiming,
                pattern: Pattern) -> dict[str, np.ndarray]:
    """nJ [N] of all channels by cause, as `sim.dram.energy.energy` names them, with "dram " in front."""
    e = constants(timing)
    written = bytes_["out"]
    read = sum(bytes_.values(), np.zeros(len(cycles))) - written
    reads, writes = read * pattern.bursts, written / timing.burst_bytes
    seconds_ns = cycles * timing.host_clock_ns
    refreshes = config.channels * seconds_ns / (timing.refi * timing.clock_ns) if timing.refi else 0 * cycles
    return {
        "dram activate": read * pattern.activates * e.activate_nj,
        "dram read": reads * e.read_nj, "dram write": writes * e.write_nj,
        "dram io": (reads + writes) * timing.burst_bytes * 8 * e.io_pj_bit / 1000,
        "dram refresh": refreshes * e.refresh_nj,
        "dram background": config.channels * seconds_ns * e.background_w,
    }
