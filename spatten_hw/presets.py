"""The presets: one line of intent each, made from one another."""

from __future__ import annotations

from .config import SpAttenConfig

#: The paper's design point: 512 multipliers per array, 16 HBM channels of 32 B.
FULL = SpAttenConfig(name="full", max_heads=128, slots=16, topk="linerate")

#: SpAtten-1/8, as compared with A3 and MNNFast: 64 multipliers, 2 channels of 32 B.
EIGHTH = FULL.replace(name="eighth", multipliers=64, max_dim=64, sram_tokens=1024, max_heads=32, channels=2)

#: Fits an 85k-LUT ECP5: 32 multipliers, one 64-bit channel, heads of 32. Top-k engines have two lanes, twice as many as
#: the softmax: with four, no measured layer takes a cycle less (docs/fpga-findings.md). The paper's decision rules
#: alone.
SMALL = EIGHTH.replace(name="small", multipliers=32, max_dim=32, max_tokens=512, sram_tokens=512, max_heads=16,
                       max_group=4, slots=4, topk_lanes=2, reads=16, pool_beats=64, channels=1, axi_data_bits=64,
                       decision_rules=0)

PRESETS: dict[str, SpAttenConfig] = {c.name: c for c in (SMALL, EIGHTH, FULL)}
