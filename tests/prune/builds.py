"""Tiny builds, and payloads packed from plain integers."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig
from spatten_hw.stream.job_layouts import job_layout


def tiny(lanes: int, tokens: int = 32, heads: int = 5, topk_lanes: int | None = None, data_bits: int = 64,
         **changes: object) -> SpAttenConfig:
    """A build of `lanes` lanes with arrays too small for anything but this."""
    fields: dict[str, object] = {
        "multipliers": 4 * lanes, "min_dim": 4, "max_dim": 4, "max_tokens": tokens,
        "sram_tokens": min(tokens, 8), "max_heads": heads, "max_group": 1, "slots": 2,
        "topk_lanes": topk_lanes or lanes, "channels": 1, "axi_data_bits": data_bits, "axi_addr_bits": 20,
        "interleave_bytes": 64, "k_ports": lanes, "v_ports": lanes,
    }
    return SpAttenConfig(**(fields | changes))  # type: ignore[arg-type]


JOB = {"restart": 0, "barrier": 0, "pair": 0, "clear_scores": 0, "load_scores": 0, "load_ids": 0, "store_ids": 0,
       "store_scores": 0, "tokens": 0, "heads": 0, "keep_tokens": 0, "keep_heads": 0, "protect_first": 0,
       "protect_last": 0, "ids_in": 0, "ids_out": 0, "scores_in": 0, "scores_out": 0}


def pack_job(c: SpAttenConfig, job: dict[str, int]) -> int:
    """A `job_layout` integer of the fields the pruner looks at."""
    layout = job_layout(c)
    bits = 0
    for name, value in job.items():
        f = layout[name]
        assert value < 1 << f.width, (name, value)
        bits |= value << f.offset
    return bits
