"""Accelerators at the corners of what a configuration may be: for relations of sizes (`relations.py`) that neither the
tiny builds nor the presets have. Each is as cheap to compile as that allows."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig

from .builds import LEAST

#: A vector is one row everywhere, SRAM holds one row, there is one head, and a beat is longer than all that is read.
ONE = SpAttenConfig(
    name="one", multipliers=32, chunk=4, max_dim=4, operand_bits=4, max_tokens=8, sram_tokens=8, max_heads=1,
    max_group=1, slots=2, topk_lanes=8, channels=1, axi_data_bits=512, axi_addr_bits=20, reads=2, pool_beats=4,
    job_queue=16)

#: A slice per channel and a token per slice: numbers of no bits.
SPREAD = ONE.replace(name="spread", channels=8, axi_data_bits=64, pool_beats=16)

#: Rows of several beats and up to five chunks, two reads at a time, eight channels, one group; several queries per job.
SHREDDED = SpAttenConfig(
    name="shredded", multipliers=32, chunk=4, max_dim=20, operand_bits=6, max_tokens=32, sram_tokens=8, max_heads=3,
    max_group=3, slots=4, topk_lanes=8, topk="linerate,digit_bits=2,digit_stages=2,wide=3", channels=8,
    axi_data_bits=32, axi_addr_bits=16, reads=2, pool_beats=32, job_queue=2, chunk_queries=1)

#: 6+4 bits in chunks of many beats; groups of eight, and many more slots than heads; several queries per job.
TEN = LEAST.replace(name="ten", multipliers=64, chunk=64, max_dim=64, operand_bits=10, max_tokens=64, max_heads=8,
                    max_group=8, topk_lanes=8, topk="linerate", slots=32, reads=64, pool_beats=512, job_queue=4)

#: 10+4 bits in four slices of one channel; the paper's decision rules alone, a query per job.
FOURTEEN = LEAST.replace(name="fourteen", multipliers=64, chunk=16, max_dim=32, operand_bits=14, max_tokens=64,
                         sram_tokens=32, topk_lanes=4, max_group=1, axi_data_bits=128, reads=8, pool_beats=8,
                         topk="quickselect,waiting=1", decision_rules=0, chunk_queries=0)

CORNERS = {c.name: c for c in (ONE, SPREAD, SHREDDED, TEN, FOURTEEN)}
