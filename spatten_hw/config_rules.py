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
    for n in ("multipliers", "chunk", "max_tokens", "sram_tokens", "topk_lanes", "channels", "axi_data_bits", "slots",
              "reads", "pool_beats"):
        if not _is_pow2(getattr(c, n)):
            v = getattr(c, n)
            near = 1 << max(0, v.bit_length() - 1) if v > 0 else 1
            yield bad(n, "must be a power of two", f"use {near} or {near * 2}")
    ranges = {
        "chunk": (4, 128), "max_dim": (4, 256), "operand_bits": (4, 16), "max_tokens": (8, 65536),
        "max_heads": (1, 128), "max_group": (1, 32), "slots": (2, 64), "topk_lanes": (1, 64),
        "channels": (1, 32), "axi_data_bits": (32, 512), "axi_addr_bits": (16, 48),
        "reads": (2, 256), "pool_beats": (4, 4096), "job_queue": (2, 16),
        "multipliers": (4, 4096), "sram_tokens": (1, 65536), "decision_rules": (0, 1),
        "chunk_queries": (0, 1),
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
    if c.max_group > c.slots:
        yield bad("max_group", f"must not exceed slots = {c.slots} (a group's vectors are in flight together)",
                  "raise slots or lower max_group")
    if c.max_group > c.max_heads:
        yield bad("max_group", f"must not exceed max_heads = {c.max_heads}", "lower max_group")
    if c.chunk <= 0 or c.max_dim <= 0 or c.channels <= 0:
        return
    if c.max_dim % c.chunk:
        yield bad("max_dim", f"must be a multiple of chunk = {c.chunk}",
                  f"use {max(c.chunk, c.max_dim // c.chunk * c.chunk)}")
    if c.multipliers < c.chunk * c.channels:
        yield bad("multipliers", f"must give every channel a slice: at least chunk × channels = {c.chunk * c.channels}",
                  f"raise multipliers to {c.chunk * c.channels}, or lower chunk or channels")
        return
    slices = c.multipliers // c.chunk
    why = f"slices = multipliers / chunk = {slices}"
    if c.topk_lanes < slices:
        yield bad("topk_lanes", f"must be at least {why}", f"raise topk_lanes to {slices} or lower multipliers")
    if c.max_tokens < slices:
        yield bad("max_tokens", f"must be at least {why}", f"raise max_tokens to {slices}")
    if c.sram_tokens > c.max_tokens:
        yield bad("sram_tokens", f"must not exceed max_tokens = {c.max_tokens}", "lower sram_tokens")
    if c.sram_tokens < slices:
        yield bad("sram_tokens", f"must be at least {why}", f"raise sram_tokens to {slices}")
    longest = c.most_beats if c.axi_data_bits >= 8 else 0
    if c.pool_beats < 2 * longest:
        yield bad("pool_beats", f"must have room for two of the longest reads, {longest} beats each",
                  f"raise pool_beats to {1 << (2 * longest - 1).bit_length()}")


def _parameters(written: object) -> str:
    """The parameters of the engine that `written` begins with, if it is one."""
    kind = TOPK.get(str(written).partition(",")[0].strip())
    if kind is None:
        return ""
    return f"; {kind.name} has the parameters {', '.join(f.name for f in dataclasses.fields(kind))} (whole numbers)"
