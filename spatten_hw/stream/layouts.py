"""Payload layouts of the streams between blocks (`docs/architecture.md`, "Streams").

A vector of n keys is spread over the S slices: key (row r, slice s). It travels as rows of one lane per slice; bit s of
`live` says whether slice s has a key in this row. In a prompt position p of the dense list is, for K/V head h, row p
div S of slice (p + h) mod S. In generation token t belongs to slice (t + h) mod S, where its row is its rank among the
surviving tokens of its class, t mod S; so slices have different numbers of keys. Where order matters (ties), keys are
ordered by row, then by slice. `last` marks a vector's final row. `tag` says which work item the vector belongs to.

S = `config.slices`, N = `config.chunk`, W = `config.operand_bits`, P = `config.topk_lanes`.
"""

from __future__ import annotations

from amaranth import signed, unsigned
from amaranth.lib import data

from ..config import OUT_BITS, PROB_BITS, SpAttenConfig, clog2

#: Of all probability / that of the values kept: bits, and how many of them are fraction.
RATIO_BITS, RATIO_FRACTION = 18, 14


def tag_layout(c: SpAttenConfig) -> data.StructLayout:
    """Identity of a work item: one query of one query head.

    `head`: query head; `kv_head`: its K/V head; `query`: token id of the query (in generation its number in the job),
    which is also its row in the output plane; `half`: K/V SRAM half; `stream`: K and V rows come from memory
    (generation) instead of the SRAMs; `refetched`: scores include K's LSBs, V rows come with theirs; `item`: its
    number, in which slices keep its probabilities; `first`, `gang`: items first … first + gang − 1 (modulo `items`)
    share K and V rows.
    """
    return data.StructLayout({
        "head": unsigned(c.head_bits), "kv_head": unsigned(c.head_bits), "query": unsigned(c.token_bits),
        "half": 1, "stream": 1, "refetched": 1, "item": unsigned(c.item_bits), "first": unsigned(c.item_bits),
        "gang": unsigned(c.max_group.bit_length()),
    })


# -- commands ----------------------------------------------------------------------------------------------


def key_walk_command(c: SpAttenConfig) -> data.StructLayout:
    """Read the K rows of all surviving tokens of `kv_head` (generation) for slots slot + i, i in `members`. `fill`: of
    a prompt instead: its K rows (`value`: V rows) for half `half` of the SRAMs. With `chunk_queries`: only of tokens
    below `limit`, the last of which are in row `final_row`."""
    return data.StructLayout({
        "kv_head": unsigned(c.head_bits), "slot": unsigned(c.slot_bits), "members": unsigned(c.max_group), "lsb": 1,
        "fill": 1, "value": 1, "half": 1,
        **({"limit": unsigned(c.count_bits), "final_row": unsigned(c.row_bits)} if c.chunk_queries else {}),
    })


def fill_command(c: SpAttenConfig) -> data.StructLayout:
    """Read the rows of survivor positions 0 … rows − 1 of `kv_head` into half `half` of an SRAM; `lsb`: LSB plane.
    `dense`: all tokens of the job survive, so that every row lies in the channel of its slice."""
    return data.StructLayout({
        "kv_head": unsigned(c.head_bits), "rows": unsigned(c.count_bits), "half": 1, "value": 1, "lsb": 1,
        "dense": 1,
    })


def q_command(c: SpAttenConfig) -> data.StructLayout:
    """Fetch the Q row of query head `head`, token `token`, for score slot `slot`."""
    return data.StructLayout({
        "head": unsigned(c.head_bits), "token": unsigned(c.token_bits), "slot": unsigned(c.slot_bits),
    })


def score_command(c: SpAttenConfig) -> data.StructLayout:
    """Prompt: score the query in `slot` against `keys` keys of SRAM half `half`; `refetched`: with K's LSBs. `turn`:
    the K/V head modulo S: slice s has the keys (s − turn) mod S, S further, and so on."""
    return data.StructLayout({
        "slot": unsigned(c.slot_bits), "keys": unsigned(c.count_bits), "half": 1, "refetched": 1,
        "turn": unsigned(clog2(c.slices)),
    })


def slot_meta(c: SpAttenConfig) -> data.StructLayout:
    """What the softmax must know of the vector in `slot`: its tag, its keys in every slice, whether LSBs exist that are
    not in its scores (`progressive`). With `chunk_queries`, `scored`: keys of which scores come, at least `keys`; those
    beyond are of later queries of its gang."""
    return data.StructLayout({
        "slot": unsigned(c.slot_bits), "keys": slice_counts(c), "progressive": 1, "tag": tag_layout(c),
        **({"scored": slice_counts(c)} if c.chunk_queries else {}),
    })


def slice_counts(c: SpAttenConfig) -> data.ArrayLayout:
    """A number of keys for every slice, 0 … max_rows."""
    return data.ArrayLayout(unsigned(c.max_rows.bit_length()), c.slices)


# -- in the slices and behind them -------------------------------------------------------------------------


def score_write(c: SpAttenConfig) -> data.StructLayout:
    """One exact score out of Q×K of a slice: row `row` of the vector in `slot`. `replay`: partial sum of an LSB plane,
    to be added to the stored score. Scores of a slice come in any order."""
    return data.StructLayout({
        "score": signed(c.score_bits), "slot": unsigned(c.slot_bits), "row": unsigned(c.row_bits), "replay": 1,
    })


def prob_row(c: SpAttenConfig) -> data.StructLayout:
    """S final probabilities (12-bit unsigned), one per slice: row i of the vector; dead lanes are 0."""
    return data.StructLayout({
        "probs": data.ArrayLayout(unsigned(PROB_BITS), c.slices), "live": unsigned(c.slices), "last": 1,
        "tag": tag_layout(c),
    })


def kept_row(c: SpAttenConfig) -> data.StructLayout:
    """A row of probabilities behind local value pruning: bit s of `kept` says whether that of slice s is kept."""
    return data.StructLayout({
        "probs": data.ArrayLayout(unsigned(PROB_BITS), c.slices), "kept": unsigned(c.slices),
        "row": unsigned(c.row_bits), "last": 1, "tag": tag_layout(c),
    })


def key_row(lanes: int, key: int, count: int) -> data.StructLayout:
    """P keys into a top-k engine, those with a bit in `live`. `k` (how many to keep) counts on a vector's first row."""
    return data.StructLayout({
        "keys": data.ArrayLayout(unsigned(key), lanes), "live": unsigned(lanes), "last": 1, "k": unsigned(count),
    })


def threshold(key: int, count: int) -> data.StructLayout:
    """What a top-k engine finds of a vector: keys above `threshold` are kept, and the first `keep_equal` equal to
    it."""
    return data.StructLayout({"threshold": unsigned(key), "keep_equal": unsigned(count)})


def kept_ratio(c: SpAttenConfig) -> data.StructLayout:
    """By how much the probabilities kept of work item `item` fall short: `r` = Σp / Σkept p ≥ 1, `RATIO_FRACTION`
    fraction bits, saturated; `same`: they do not, and `r` means nothing."""
    return data.StructLayout({"item": unsigned(c.item_bits), "r": unsigned(RATIO_BITS), "same": 1})


def value_entry(c: SpAttenConfig) -> data.StructLayout:
    """Work of Prob×V in one slice: V row `row` for the members of a gang, as in `value_note`; token index `index`
    (token div S; only with `stream`). `last`: nothing more for this gang; `members` is 0 where this slice has nothing
    to do. `half`: of the V SRAM; `stream`: V rows come from memory. `kv_head`: whose rows."""
    return data.StructLayout({
        "item": unsigned(c.item_bits), "sum": unsigned(c.sum_bits), "members": unsigned(c.max_group),
        "refetched": unsigned(c.max_group), "row": unsigned(c.row_bits), "index": unsigned(c.row_bits),
        "kv_head": unsigned(c.head_bits), "half": 1, "stream": 1, "last": 1,
    })


def acc_chunk(c: SpAttenConfig) -> data.StructLayout:
    """Chunk `chunk` of Σ P·V of one work item, over all slices: N exact sums; `last` of the item."""
    return data.StructLayout({
        "acc": data.ArrayLayout(signed(c.acc_bits), c.chunk), "chunk": unsigned(c.chunk_bits), "last": 1,
        "tag": tag_layout(c),
    })


def head_sum(c: SpAttenConfig) -> data.StructLayout:
    """Σ |out| over one write beat of an output row, to be added to the importance of `kv_head`."""
    per_beat = c.axi_data_bits // OUT_BITS
    return data.StructLayout({
        "kv_head": unsigned(c.head_bits), "sum": unsigned(OUT_BITS + clog2(per_beat)),
    })


def out_beat(c: SpAttenConfig) -> data.StructLayout:
    """One write beat: whole data word at channel-local byte address `addr` (aligned to the beat) of `channel`.

    `strobe` per byte; `kind`: 0 output row, 1 state word; `last` of the row or of the state section.
    """
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "strobe": unsigned(c.beat_bytes),
        "addr": unsigned(c.axi_addr_bits), "channel": unsigned(clog2(c.channels)), "kind": 1, "last": 1,
    })
