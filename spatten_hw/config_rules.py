"""What a configuration must obey: the ranges of its fields, and the rules between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .engines import TOPK, TopKChoice

if TYPE_CHECKING:
    from .config import SpAttenConfig

#: Operand widths the bit-width converter unpacks (MSB planes; LSB planes are always 4 bits or absent).
PLANE_WIDTHS = (4, 6, 8, 10, 12, 14, 16)
#: Engines that may prune local values (`engines.py`).
TOPK_ENGINES = tuple(TOPK)


def _is_pow2(x: int) -> bool:
    return x > 0 and x & (x - 1) == 0


def violations(c: SpAttenConfig) -> Iterator[str]:
    """One line per broken rule: field, value, rule, remedy."""

    def bad(name: str, rule: str, remedy: str) -> str:
        return f"{name} = {getattr(c, name)!r}: {rule}; {remedy}"

    numeric = [f.name for f in dataclasses.fields(c) if f.name not in ("name", "topk")]
    wrong = [n for n in numeric if type(getattr(c, n)) is not int]
    for n in wrong:
        yield bad(n, "must be an integer", "give a whole number")
    if wrong:
        return
    for n in ("multipliers", "min_dim", "max_dim", "max_tokens", "sram_tokens", "topk_lanes", "channels",
              "axi_data_bits", "interleave_bytes", "k_ports", "v_ports", "slots", "ids_per_port"):
        if not _is_pow2(getattr(c, n)):
            v = getattr(c, n)
            near = 1 << max(0, v.bit_length() - 1) if v > 0 else 1
            yield bad(n, "must be a power of two", f"use {near} or {near * 2}")
    ranges = {
        "min_dim": (4, 128), "max_dim": (4, 256), "operand_bits": (4, 16), "max_tokens": (8, 65536),
        "max_heads": (1, 128), "max_group": (1, 32), "slots": (2, 64), "topk_lanes": (1, 64),
        "channels": (1, 32), "axi_data_bits": (32, 1024), "axi_addr_bits": (16, 48),
        "interleave_bytes": (4, 4096), "ids_per_port": (2, 64), "job_queue": (2, 16),
        "k_ports": (1, 64), "v_ports": (1, 64), "multipliers": (4, 4096), "sram_tokens": (1, 65536),
    }
    for n, (lo, hi) in ranges.items():
        if not lo <= getattr(c, n) <= hi:
            yield bad(n, f"must be {lo} … {hi}", f"choose a value in {lo} … {hi}")
    if c.operand_bits not in PLANE_WIDTHS:
        yield bad("operand_bits", f"must be one of {PLANE_WIDTHS}", "use 12 (paper) or 16 (for 12+4)")
    if isinstance(c.topk, TopKChoice):
        yield from (f"topk = {c.topk.name!r}: {rule}; {remedy}" for rule, remedy in c.topk.violations())
    else:
        yield bad("topk", "must name a top-k engine", f"use {' or '.join(map(repr, TOPK_ENGINES))}"
                  + _parameters(c.topk))
    if c.min_dim > c.max_dim:
        yield bad("min_dim", f"must not exceed max_dim = {c.max_dim}", "lower min_dim or raise max_dim")
    if c.multipliers < c.max_dim:
        yield bad("multipliers", f"must be at least max_dim = {c.max_dim}", "raise multipliers or lower max_dim")
    if c.min_dim <= 0 or c.multipliers < c.min_dim:
        return
    lanes = c.multipliers // c.min_dim
    why = f"lanes = multipliers / min_dim = {lanes}"
    if c.topk_lanes < lanes:
        yield bad("topk_lanes", f"must be at least {why}", f"raise topk_lanes to {lanes} or lower multipliers")
    for n in ("k_ports", "v_ports"):
        if getattr(c, n) < lanes:
            yield bad(n, f"must be at least {why}", f"raise {n} to {lanes} or lower multipliers")
    if c.max_tokens < lanes:
        yield bad("max_tokens", f"must be at least {why}", f"raise max_tokens to {lanes}")
    if c.sram_tokens > c.max_tokens:
        yield bad("sram_tokens", f"must not exceed max_tokens = {c.max_tokens}", "lower sram_tokens")
    if c.sram_tokens * c.max_dim < c.multipliers:
        yield bad("sram_tokens", "must give at least one SRAM row (sram_tokens × max_dim ≥ multipliers)",
                  "raise sram_tokens")
    if c.interleave_bytes * 8 < c.axi_data_bits:
        yield bad("interleave_bytes", f"must hold at least one beat of axi_data_bits = {c.axi_data_bits}",
                  f"raise interleave_bytes to {c.axi_data_bits // 8}")
    if c.axi_data_bits > 0 and c.interleave_bytes * 8 > 256 * c.axi_data_bits:
        yield bad("interleave_bytes", "must not exceed 256 beats (the longest AXI4 burst)",
                  f"lower interleave_bytes to {32 * c.axi_data_bits}")
    if c.max_group > c.slots:
        yield bad("max_group", f"must not exceed slots = {c.slots} (a group's vectors are in flight together)",
                  "raise slots or lower max_group")
    if c.max_group > c.max_heads:
        yield bad("max_group", f"must not exceed max_heads = {c.max_heads}", "lower max_group")


def _parameters(written: object) -> str:
    """The parameters of the engine that `written` begins with, if it is one."""
    kind = TOPK.get(str(written).partition(",")[0].strip())
    if kind is None:
        return ""
    return f"; {kind.name} has the parameters {', '.join(f.name for f in dataclasses.fields(kind))} (whole numbers)"
