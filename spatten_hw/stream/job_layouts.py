"""A job as the blocks see it: the descriptor's fields in the widths of the build."""

from __future__ import annotations

from amaranth import unsigned
from amaranth.lib import data

from ..config import SpAttenConfig
from ..interface.descriptor import SCALE_FIELDS, STRIDE_BITS, fields_of


def head_stride_bits(c: SpAttenConfig) -> int:
    """Width of the bytes from a head's rows to those of the next one."""
    return min(32, c.axi_addr_bits)


def scale_layout() -> data.StructLayout:
    """One entry of the scale table."""
    return data.StructLayout({f.name: unsigned(f.width) for f in SCALE_FIELDS})


def job_layout(c: SpAttenConfig) -> data.StructLayout:
    """A validated job as the blocks see it; constant while the job's data moves.

    `chunks` = D / chunk. Bases of planes are channel-local, those of words have the channel above. Counts of "keep" are
    clamped to max_tokens (max_heads). Widths follow the build; names are those of `FIELDS`.
    `queries` only in builds with `chunk_queries`.
    """
    widths = {
        "chunks": c.chunk_count_bits,
        "q_bits": 5, "k_msb": 5, "k_lsb": 3, "v_msb": 5, "v_lsb": 3, "threshold": 13,
        "heads": c.max_heads.bit_length(), "group": c.max_group.bit_length(),
        "tokens": c.count_bits, "keep_tokens": c.count_bits, "keep_heads": c.max_heads.bit_length(),
        "keep_values": c.count_bits, "protect_first": c.count_bits, "protect_last": c.count_bits,
        "queries": min(14, c.count_bits),
    }
    members = {}
    for f in fields_of(c):
        if f.name == "dim":
            members["chunks"] = unsigned(widths["chunks"])
        elif f.name.endswith("_base"):
            members[f.name] = unsigned(c.axi_addr_bits)
        elif f.name in ("ids_in", "ids_out", "scores_in", "scores_out"):
            members[f.name] = unsigned(c.addr_bits)
        elif f.name.endswith("_token_stride"):
            members[f.name] = unsigned(STRIDE_BITS)
        elif f.name.endswith("_head_stride"):
            members[f.name] = unsigned(head_stride_bits(c))
        else:
            members[f.name] = unsigned(widths.get(f.name, f.width))
    return data.StructLayout(members)
