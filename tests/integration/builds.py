"""Tiny accelerators that between them take every path of the generator, and random workloads for them."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.memory_options import HOSTILE
from spatten_hw.sim.harness.transport import VerilatedTransport
from spatten_hw.sim.soak.workload import bit_settings, random_workload

__all__ = ["BUILDS", "LEAST", "QUAD", "WIDE", "bit_settings", "random_workload", "transport"]

#: Four lanes, three head dimensions, two channels that interleave inside a row.
QUAD = SpAttenConfig(
    name="quad", multipliers=32, min_dim=8, max_dim=32, operand_bits=12, max_tokens=64, sram_tokens=32, max_heads=8,
    max_group=4, slots=4, topk_lanes=8, channels=2, axi_data_bits=64, axi_addr_bits=24, interleave_bytes=32,
    k_ports=4, v_ports=4, ids_per_port=4, job_queue=2)

#: One lane, one dimension, one narrow channel, two slots: the least of everything but context.
LEAST = SpAttenConfig(
    name="least", multipliers=8, min_dim=8, max_dim=8, operand_bits=8, max_tokens=8192, sram_tokens=16, max_heads=4,
    max_group=2, slots=2, topk_lanes=1, channels=1, axi_data_bits=32, axi_addr_bits=20, interleave_bytes=16,
    k_ports=1, v_ports=1, ids_per_port=2, job_queue=2)

#: 16-bit operands (10+4 and 12+4), wide beats, more channels than a row has beats, more ports than lanes; the other
#: top-k engine.
WIDE = SpAttenConfig(
    name="wide", multipliers=16, min_dim=8, max_dim=16, operand_bits=16, max_tokens=64, sram_tokens=64, max_heads=6,
    max_group=3, slots=8, topk_lanes=4, topk="linerate", channels=4, axi_data_bits=256, axi_addr_bits=20,
    interleave_bytes=32, k_ports=8, v_ports=2, ids_per_port=8, job_queue=4)

BUILDS = {c.name: c for c in (QUAD, LEAST, WIDE)}


def transport(config: SpAttenConfig, *, hostile: bool = False, seed: int = 1, **options) -> VerilatedTransport:
    """A fresh simulation of `config`; `hostile`: delays, stalls and disorder on every memory port."""
    unpleasant = HOSTILE | {"seed": seed} if hostile else {}
    return VerilatedTransport(config, **(unpleasant | options))
