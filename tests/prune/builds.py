"""Tiny builds of every shape that matters to the pruner."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig


def tiny(slices: int, tokens: int = 32, heads: int = 5, data_bits: int = 64, **changes: object) -> SpAttenConfig:
    """A build of `slices` slices with arrays too small for anything but this."""
    fields: dict[str, object] = {
        "multipliers": 4 * slices, "chunk": 4, "max_dim": 4, "max_tokens": tokens, "sram_tokens": tokens,
        "max_heads": heads, "max_group": 1, "slots": 2, "topk_lanes": slices, "channels": min(slices, 2),
        "axi_data_bits": data_bits, "axi_addr_bits": 20, "reads": 2, "pool_beats": max(4, 1024 // data_bits),
    }
    return SpAttenConfig(**(fields | changes))  # type: ignore[arg-type]


JOB = {"generate": 0, "restart": 0, "clear_scores": 0, "load_scores": 0, "load_ids": 0, "store_ids": 0,
       "store_scores": 0, "tokens": 0, "heads": 0, "keep_tokens": 0, "keep_heads": 0, "protect_first": 0,
       "protect_last": 0, "ids_in": 0, "ids_out": 0, "scores_in": 0, "scores_out": 0}
