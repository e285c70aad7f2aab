"""Tiny accelerators that between them take every path of the generator, and random workloads for them."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.memory_options import HOSTILE
from spatten_hw.sim.harness.transport import VerilatedTransport
from spatten_hw.sim.soak.workload import bit_settings, random_rules, random_workload

__all__ = ["BUILDS", "LEAST", "QUAD", "WIDE", "bit_settings", "fitting", "random_rules", "random_workload", "transport"]

#: Four slices, two on each channel; rows of one to four chunks.
QUAD = SpAttenConfig(
    name="quad", multipliers=32, chunk=8, max_dim=32, operand_bits=12, max_tokens=64, sram_tokens=32, max_heads=8,
    max_group=4, slots=4, topk_lanes=8, channels=2, axi_data_bits=64, axi_addr_bits=24, reads=16, pool_beats=64,
    job_queue=2)

#: One slice, one dimension, one narrow channel, two slots: the least of everything but context.
#: Several queries per job.
LEAST = SpAttenConfig(
    name="least", multipliers=8, chunk=8, max_dim=8, operand_bits=8, max_tokens=8192, sram_tokens=16, max_heads=4,
    max_group=2, slots=2, topk_lanes=1, channels=1, axi_data_bits=32, axi_addr_bits=20, reads=2, pool_beats=32,
    job_queue=2, chunk_queries=1)

#: 16-bit operands (10+4 and 12+4), up to three chunks, beats of several chunks, a slice per channel; the other top-k
#: engine; several queries per job.
WIDE = SpAttenConfig(
    name="wide", multipliers=32, chunk=8, max_dim=24, operand_bits=16, max_tokens=64, sram_tokens=64, max_heads=6,
    max_group=3, slots=8, topk_lanes=4, topk="linerate", channels=4, axi_data_bits=256, axi_addr_bits=20, reads=16,
    pool_beats=16, job_queue=4, chunk_queries=1)

BUILDS = {c.name: c for c in (QUAD, LEAST, WIDE)}


def transport(config: SpAttenConfig, *, hostile: bool = False, seed: int = 1, **options) -> VerilatedTransport:
    """A fresh simulation of `config`; `hostile`: delays, stalls and disorder on every memory port."""
    unpleasant = HOSTILE | {"seed": seed} if hostile else {}
    return VerilatedTransport(config, **(unpleasant | options))


def fitting(config: SpAttenConfig, arrays: dict, job: dict) -> tuple[dict, dict]:
    """What of a workload the addresses of `config` reach: planes begin with pages, so that 64 KB are enough for two
    layers of one step."""
    if config.axi_addr_bits > 16:
        return arrays, job
    arrays = {name: values[:2] for name, values in arrays.items()}
    if job["stage"] == "generate":
        arrays["q"] = arrays["q"][:, :, -1:]
    return arrays, job | {name: value[:2] for name, value in job.items() if isinstance(value, list)
                          and name.startswith("keep_")}
