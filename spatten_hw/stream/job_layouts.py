"""A job as the blocks see it: the descriptor's fields in the widths of the build."""

from __future__ import annotations

from amaranth import Module, unsigned
from amaranth.lib import data

from ..config import SpAttenConfig
from ..interface.descriptor import FIELDS, SCALE_FIELDS, STRIDE_BITS


def scale_layout() -> data.StructLayout:
    """One entry of the scale table."""
    return data.StructLayout({f.name: unsigned(f.width) for f in SCALE_FIELDS})


def dim_case(m: Module, c: SpAttenConfig, d: int):
    """The branch for D = `c.dims[d]` in a `Switch` on `dim_log2`. A build with one head dimension needs no condition,
    which would only be logic in front of every bit of a row. Valid input: `dim_log2` < number of dimensions."""
    return m.Case(d) if len(c.dims) > 1 else m.Default()


def job_layout(c: SpAttenConfig) -> data.StructLayout:
    """A validated job as the blocks see it; constant while the job's data moves.

    `dim_log2` = log2(D / min_dim), so R = lanes >> dim_log2. Counts of "keep" are clamped to max_tokens
    (max_heads). Widths follow the build; names are those of `FIELDS`.
    """
    widths = {
        "dim_log2": max(1, (len(c.dims) - 1).bit_length()),
        "q_bits": 5, "k_msb": 5, "k_lsb": 3, "v_msb": 5, "v_lsb": 3, "threshold": 13,
        "heads": c.max_heads.bit_length(), "group": c.max_group.bit_length(),
        "tokens": c.count_bits, "keep_tokens": c.count_bits, "keep_heads": c.max_heads.bit_length(),
        "keep_values": c.count_bits, "protect_first": c.count_bits, "protect_last": c.count_bits,
    }
    members = {}
    for f in FIELDS:
        if f.name == "dim":
            members["dim_log2"] = unsigned(widths["dim_log2"])
        elif f.name.endswith("_base") or f.name in ("ids_in", "ids_out", "scores_in", "scores_out"):
            members[f.name] = unsigned(c.addr_bits)
        elif f.name.endswith("_token_stride"):
            members[f.name] = unsigned(STRIDE_BITS)
        elif f.name.endswith("_head_stride"):
            members[f.name] = unsigned(min(32, c.addr_bits))
        else:
            members[f.name] = unsigned(widths.get(f.name, f.width))
    return data.StructLayout(members)
