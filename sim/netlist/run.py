"""Runs a layer of each stage on a mapped netlist and compares with the golden model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.workload import Workload, make_workload
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.harness.build import Progress, build_library
from spatten_hw.sim.harness.transport import VerilatedTransport

from .mapped import Netlist

#: Cycles that a layer may take; it takes some thousand.
LIMIT = 200_000


@dataclass(frozen=True)
class StageRun:
    """A layer on the netlist. `differences`: in words, where it is not what the golden model says."""

    stage: str
    cycles: int
    seconds: float
    differences: tuple[str, ...]


def compiled(netlist: Netlist, config: SpAttenConfig, progress: Progress | None = None) -> Path:
    """The netlist as a library, built if need be. At the lowest level of g++: a layer is short."""
    return build_library(netlist.verilog, config.channels, config.axi_data_bits, optimize=0, progress=progress)


def run_stages(config: SpAttenConfig, library: Path, seed: int = 1) -> list[StageRun]:
    """A small layer of either stage, with every kind of pruning, LSBs fetched again, and a group of two."""
    runs = []
    for stage in ("summarise", "generate"):
        start = time.perf_counter()
        result = run_workload(layer(config, stage, seed), config, "rtl",
                              lambda c: VerilatedTransport(c, library=library, latency=5), cycle_limit=LIMIT)
        assert result.cycles is not None
        runs.append(StageRun(stage, result.cycles, time.perf_counter() - start, tuple(result.mismatches)))
    return runs


def layer(config: SpAttenConfig, stage: str, seed: int) -> Workload:
    """Two layers, so that the second begins with what the first has pruned."""
    numbers = np.random.default_rng(seed)
    generate = stage == "generate"
    group, heads = min(2, config.max_group), min(2, config.max_heads // min(2, config.max_group))
    dim = config.max_dim
    tokens = min(12, config.sram_tokens, config.max_tokens)
    queries = 1 if generate else tokens
    arrays = {"q": numbers.normal(size=(2, heads * group, queries, dim)),
              "k": numbers.normal(size=(2, heads, tokens, dim)), "v": numbers.normal(size=(2, heads, tokens, dim))}
    bits = [min(6, config.operand_bits - 4), 4]
    return make_workload(arrays, {
        "stage": stage, "q_bits": min(12, config.operand_bits), "k_bits": bits, "v_bits": bits, "threshold": 0.3,
        "keep_tokens": [tokens, tokens - 3], "keep_heads": [heads, max(1, heads - 1)],
        "keep_values": [tokens // 2] * 2})
