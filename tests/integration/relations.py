"""How the sizes of a configuration may stand to each other where that decides what the hardware does.

A build has a relation or not. Each must be had by a build that runs random cascades against the golden model
(`test_relations.py`): a path of the generator that no such build takes is a promise that nobody keeps.
"""

from __future__ import annotations

from collections.abc import Callable

from spatten_hw.config import OUT_BITS, PLANE_WIDTHS, TOPK_ENGINES, SpAttenConfig
from spatten_hw.engines import TOPK


def row_bytes(c: SpAttenConfig) -> int:
    """Of the longest row of operands in memory."""
    return c.max_dim * c.operand_bits // 8


def row_bursts(c: SpAttenConfig) -> int:
    """Most bursts of one row: granules that it touches, begun on a beat."""
    return -(-row_bytes(c) // c.interleave_bytes) + (c.granule_beats > 1)


RELATIONS: dict[str, Callable[[SpAttenConfig], bool]] = {
    # Lanes and head dimensions.
    "one lane": lambda c: c.lanes == 1,
    "two lanes": lambda c: c.lanes == 2,
    "many lanes": lambda c: c.lanes >= 4,
    "one D alone": lambda c: c.min_dim == c.max_dim,
    "two D": lambda c: len(c.dims) == 2,
    "three D or more": lambda c: len(c.dims) >= 3,
    "the least D": lambda c: c.min_dim == 4,
    "one key per cycle at the largest D": lambda c: c.rows_per_cycle(c.max_dim) == 1,
    "several keys per cycle at every D": lambda c: c.rows_per_cycle(c.max_dim) > 1,
    # Top-k lanes.
    "one top-k lane": lambda c: c.topk_lanes == 1,
    "as many top-k lanes as lanes": lambda c: c.topk_lanes == c.lanes > 1,
    "twice as many top-k lanes": lambda c: c.topk_lanes == 2 * c.lanes,
    "four times as many top-k lanes or more": lambda c: c.topk_lanes >= 4 * c.lanes,
    **{f"top-k by {engine}, {what}": lambda c, engine=engine, lanes=lanes: c.engine.name == engine and lanes(c)
       for engine in TOPK_ENGINES
       for what, lanes in (("rows as wide as the softmax'", lambda c: c.topk_lanes == c.lanes),
                           ("wider rows", lambda c: c.topk_lanes > c.lanes))},
    **{f"top-k by {engine} with another {name}": lambda c, engine=engine, name=name, default=default:
       c.engine.name == engine and c.engine.parameters[name] != default
       for engine, kind in TOPK.items() for name, default in kind().parameters.items()},
    # Contexts.
    "a vector is one row": lambda c: c.max_rows == 1,
    "a vector is one row of top-k": lambda c: c.max_tokens <= c.topk_lanes,
    "a vector is a thousand rows or more": lambda c: c.max_rows >= 1000,
    "SRAM of one row": lambda c: c.sram_rows == 1,
    "SRAM for the longest context": lambda c: c.sram_tokens == c.max_tokens,
    "a longer context than SRAM": lambda c: c.sram_tokens < c.max_tokens,
    # Slots, heads, groups.
    "two slots": lambda c: c.slots == 2,
    "as many slots as a group": lambda c: c.slots == c.max_group,
    "more slots than a group": lambda c: c.slots > c.max_group,
    "more slots than heads": lambda c: c.slots > c.max_heads,
    "fewer slots than heads": lambda c: c.slots < c.max_heads,
    "one head": lambda c: c.max_heads == 1,
    "no groups": lambda c: c.max_group == 1,
    "one group of all heads": lambda c: c.max_group == c.max_heads > 1,
    "heads that are no power of two": lambda c: c.max_heads & (c.max_heads - 1) != 0,
    "a group that is no power of two": lambda c: c.max_group & (c.max_group - 1) != 0,
    "the most heads": lambda c: c.max_heads == 128,
    # Fetchers' ports and what they have outstanding.
    "one port of K and one of V": lambda c: c.k_ports == c.v_ports == 1,
    "as many ports as rows at the least D": lambda c: c.k_ports == c.lanes > 1,
    "more ports of K than rows": lambda c: c.k_ports > c.lanes,
    "more ports of V than rows": lambda c: c.v_ports > c.lanes,
    "fewer ports of V than of K": lambda c: c.v_ports < c.k_ports,
    "fewer ports of K than of V": lambda c: c.k_ports < c.v_ports,
    "more ports than channels": lambda c: c.k_ports > c.channels,
    "fewer ports than channels": lambda c: c.k_ports < c.channels,
    "two ids per port": lambda c: c.ids_per_port == 2,
    "fewer ids than bursts of a row": lambda c: c.ids_per_port < row_bursts(c),
    "ids for many rows": lambda c: c.ids_per_port >= 8 * row_bursts(c),
    "the most ids per port": lambda c: c.ids_per_port == 64,
    # Channels, granules, beats.
    "one channel": lambda c: c.channels == 1,
    "two channels": lambda c: c.channels == 2,
    "four channels or eight": lambda c: c.channels in (4, 8),
    "more channels than banks of a response column": lambda c: c.channels > 8,
    "a granule of one beat": lambda c: c.granule_beats == 1,
    "a granule of many beats": lambda c: c.granule_beats >= 8,
    "a granule shorter than a row": lambda c: c.interleave_bytes < row_bytes(c),
    "a granule longer than a row": lambda c: c.interleave_bytes > row_bytes(c),
    "a row is several beats": lambda c: row_bytes(c) > 2 * c.beat_bytes,
    "a beat is longer than any row": lambda c: c.beat_bytes > row_bytes(c),
    "a beat is longer than an output row": lambda c: c.axi_data_bits > c.min_dim * OUT_BITS,
    "an output row is longer than a granule": lambda c: c.max_dim * OUT_BITS > 8 * c.interleave_bytes,
    "the narrowest beats": lambda c: c.axi_data_bits == 32,
    "the least addresses": lambda c: c.axi_addr_bits == 16,
    # Operands and jobs.
    **{f"operands of {bits} bits": lambda c, bits=bits: c.operand_bits == bits for bits in PLANE_WIDTHS},
    "a queue of two jobs": lambda c: c.job_queue == 2,
    "a queue of four jobs": lambda c: c.job_queue == 4,
    "a queue of many jobs": lambda c: c.job_queue >= 8,
}
