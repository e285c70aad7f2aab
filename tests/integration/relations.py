"""How the sizes of a configuration may stand to each other where that decides what the hardware does.

A build has a relation or not. Each must be had by a build that runs random cascades against the golden model
(`test_relations.py`): a path of the generator that no such build takes is a promise that nobody keeps.
"""

from __future__ import annotations

from collections.abc import Callable

from spatten_hw.config import OUT_BITS, PLANE_WIDTHS, TOPK_ENGINES, SpAttenConfig
from spatten_hw.engines import TOPK
from spatten_hw.host.rows import row_bytes


def row_beats(c: SpAttenConfig) -> int:
    """Of the longest row of operands in memory."""
    return c.max_row_beats


def may_cross_pages(c: SpAttenConfig) -> bool:
    """Rows of some D and width lie across the pages of a plane without gaps."""
    beats = {-(-row_bytes(dim, bits) // c.beat_bytes) for dim in c.dims for bits in PLANE_WIDTHS
             if bits <= c.operand_bits}
    return any(n & (n - 1) for n in beats)


RELATIONS: dict[str, Callable[[SpAttenConfig], bool]] = {
    # Slices, chunks and head dimensions.
    "one slice": lambda c: c.slices == 1,
    "two slices": lambda c: c.slices == 2,
    "many slices": lambda c: c.slices >= 4,
    "one slice per channel": lambda c: c.slices == c.channels > 1,
    "two slices per channel": lambda c: c.slices_per_channel == 2 and c.channels > 1,
    "four slices on one channel": lambda c: c.slices == 4 and c.channels == 1,
    "eight slices or more on one channel": lambda c: c.slices_per_channel >= 8,
    "one D alone": lambda c: c.max_chunks == 1,
    **{f"rows of up to {n} chunks": lambda c, n=n: c.max_chunks == n for n in (2, 3, 4, 5)},
    **{f"chunks of {n}": lambda c, n=n: c.chunk == n for n in (4, 8, 16, 32, 64)},
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
    "as many tokens as slices": lambda c: c.max_tokens == c.slices > 1,
    "a token per slice and a slice per channel": lambda c: c.max_tokens == c.slices == c.channels > 1,
    "SRAM of one row": lambda c: c.sram_words == c.max_chunks,
    "SRAM for the longest context": lambda c: c.sram_tokens == c.max_tokens,
    "a longer context than SRAM": lambda c: c.sram_tokens < c.max_tokens,
    # Slots, heads, groups.
    "two slots": lambda c: c.slots == 2,
    "as many slots as a group": lambda c: c.slots == c.max_group,
    "more slots than a group": lambda c: c.slots > c.max_group,
    "more slots than heads": lambda c: c.slots > c.max_heads,
    "fewer slots than heads": lambda c: c.slots < c.max_heads,
    "fewer heads than slices": lambda c: 1 < c.max_heads <= c.slices // 2,
    "one head": lambda c: c.max_heads == 1,
    "no groups": lambda c: c.max_group == 1,
    "groups of three": lambda c: c.max_group == 3,
    "groups of eight": lambda c: c.max_group == 8,
    "one group of all heads": lambda c: c.max_group == c.max_heads > 1,
    "heads that are no power of two": lambda c: c.max_heads & (c.max_heads - 1) != 0,
    "a group that is no power of two": lambda c: c.max_group & (c.max_group - 1) != 0,
    "the most heads": lambda c: c.max_heads == 128,
    # Converters of a slice.
    "one row feed for K and V": lambda c: c.feeds == 1,
    "one row feed for K and V in each of several slices of a channel": lambda c: c.feeds == 1 < c.slices_per_channel,
    "a row feed each for K and V": lambda c: c.feeds == 2,
    "a row feed each in each of several slices of a channel": lambda c: c.feeds == 2 and c.slices_per_channel > 1,
    # What the channel readers have outstanding.
    "two reads at a time": lambda c: c.reads == 2,
    "many reads at a time": lambda c: c.reads >= 16,
    "room for two rows": lambda c: c.pool_beats < 4 * row_beats(c),
    "room for many rows": lambda c: c.pool_beats >= 16 * row_beats(c),
    "fewer reads than there is room for": lambda c: c.reads * row_beats(c) < c.pool_beats,
    # Channels, beats.
    "one channel": lambda c: c.channels == 1,
    "two channels": lambda c: c.channels == 2,
    "four channels or eight": lambda c: c.channels in (4, 8),
    "a row is several beats": lambda c: row_beats(c) > 2,
    "a beat is longer than any row": lambda c: c.axi_data_bits > c.max_dim * c.operand_bits,
    **{f"bytes of a chunk {what} a beat": lambda c, holds=holds: c.operand_bits >= 8 and holds(c.chunk, c.beat_bytes)
       for what, holds in (("are less than", int.__lt__), ("are", int.__eq__), ("are twice", lambda n, b: n == 2 * b),
                           ("are many times", lambda n, b: n > 2 * b))},
    **{f"nibbles of a chunk {what} a beat": lambda c, holds=holds: holds(c.chunk // 2, c.beat_bytes)
       for what, holds in (("are less than", int.__lt__), ("are", int.__eq__), ("are more than", int.__gt__))},
    "rows that may cross pages": may_cross_pages,
    "a beat is longer than an output row": lambda c: c.axi_data_bits > c.chunk * OUT_BITS,
    **{f"beats of {bits} bits": lambda c, bits=bits: c.axi_data_bits == bits for bits in (32, 64, 128, 256, 512)},
    "the least addresses": lambda c: c.axi_addr_bits == 16,
    # Operands and jobs.
    **{f"operands of {bits} bits": lambda c, bits=bits: c.operand_bits == bits for bits in PLANE_WIDTHS},
    "the paper's decision rules alone": lambda c: c.decision_rules == 0,
    "decision rules beside the paper's": lambda c: c.decision_rules == 1,
    "one query per generation job": lambda c: c.chunk_queries == 0,
    "several queries per generation job": lambda c: c.chunk_queries == 1,
    "a queue of two jobs": lambda c: c.job_queue == 2,
    "a queue of four jobs": lambda c: c.job_queue == 4,
    "a queue of many jobs": lambda c: c.job_queue >= 8,
}
