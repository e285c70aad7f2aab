"""Payload layouts of the streams between blocks (`docs/architecture.md`, "Streams").

A vector travels as rows. `count` says how many lanes of a row are live (lanes 0 … count − 1; the others
are don't-care), `last` marks the vector's final row. `tag` says which work item the vector belongs to.
L = `config.lanes`, P = `config.topk_lanes`, S = `config.slices`.
"""

from __future__ import annotations

from amaranth import signed, unsigned
from amaranth.lib import data

from ..config import OUT_BITS, PROB_BITS, SpAttenConfig, clog2
from ..interface.descriptor import word_count_bits


def tag_layout(c: SpAttenConfig) -> data.StructLayout:
    """Identity of a work item: one query of one query head.

    `head`: query head; `kv_head`: its K/V head; `query`: token id of the query (0 in generation), which is
    also its row in the output plane; `half`: K/V SRAM half; `stream_v`: kept V rows are fetched (generation,
    or a flat row) instead of read from the V SRAM; `refetched`: scores include K's LSBs, V rows come with
    theirs.
    """
    return data.StructLayout({
        "head": unsigned(c.head_bits), "kv_head": unsigned(c.head_bits), "query": unsigned(c.token_bits),
        "half": 1, "stream_v": 1, "refetched": 1,
    })


def k_command(c: SpAttenConfig) -> data.StructLayout:
    """Fetch the K rows of survivor positions 0 … rows − 1 of one K/V head, one plane.

    `lsb`: the LSB plane instead of the MSB plane; `fill`: the rows go to SRAM half `half`, else to Q×K. `pair`: also
    the next head's rows, which lie beside them: every row group of `kv_head` is followed by one of the next head.
    """
    return data.StructLayout({
        "kv_head": unsigned(c.head_bits), "rows": unsigned(c.count_bits), "lsb": 1, "fill": 1, "half": 1, "pair": 1,
    })


def v_command(c: SpAttenConfig) -> data.StructLayout:
    """Fetch the V rows (MSB plane) of survivor positions 0 … rows − 1 into V SRAM half `half`."""
    return data.StructLayout({
        "kv_head": unsigned(c.head_bits), "rows": unsigned(c.count_bits), "half": 1,
    })


def q_command(c: SpAttenConfig) -> data.StructLayout:
    """Fetch the Q row of query head `head`, token `token`, for score slot `slot`."""
    return data.StructLayout({
        "head": unsigned(c.head_bits), "token": unsigned(c.token_bits), "slot": unsigned(c.slot_bits),
    })


def q_row(c: SpAttenConfig) -> data.StructLayout:
    """A query, on-chip width: D elements from bit 0 (the rest don't-care), for score slot `slot`."""
    return data.StructLayout({
        "row": unsigned(c.max_dim * c.operand_bits), "slot": unsigned(c.slot_bits),
    })


def aux_command(c: SpAttenConfig) -> data.StructLayout:
    """Read `words` (≥ 1) 64-bit words from logical byte address `addr` (a multiple of 8)."""
    return data.StructLayout({"addr": unsigned(c.addr_bits), "words": unsigned(word_count_bits(c))})


def aux_word() -> data.StructLayout:
    """A 64-bit little-endian word read by an `aux_command`; `error`: its beat had an AXI error response."""
    return data.StructLayout({"data": unsigned(64), "last": 1, "error": 1})


def operand_row(c: SpAttenConfig) -> data.StructLayout:
    """R = M/D rows of K or V, on-chip width, as S slices of `min_dim` elements.

    Row r of the group occupies slices r·D/min_dim … (r+1)·D/min_dim − 1, element e of a slice its bits
    e·W … e·W + W − 1. `count` rows are live, `last` ends the command. `fill`, `half`: where the rows go.
    """
    return data.StructLayout({
        "slices": data.ArrayLayout(unsigned(c.min_dim * c.operand_bits), c.slices),
        "count": unsigned(c.lane_count_bits), "last": 1, "fill": 1, "half": 1,
    })


def qk_command(c: SpAttenConfig) -> data.StructLayout:
    """Score `gang` queries (slots slot, slot + 1, … modulo `slots`) against `keys` keys.

    `stream`: K rows come from the fetch stream (each row group serves all queries of the gang before the
    next is taken; with `pair`, each of the gang's queries takes one of its own), else from SRAM half `half`. `replay`:
    this is an LSB pass, its q is already in the slot.
    """
    return data.StructLayout({
        "slot": unsigned(c.slot_bits), "gang": unsigned(c.max_group.bit_length()),
        "keys": unsigned(c.count_bits), "stream": 1, "half": 1, "replay": 1, "pair": 1,
    })


def slot_meta(c: SpAttenConfig) -> data.StructLayout:
    """What the softmax must know of the vector in `slot`: its tag, its length, whether LSBs exist."""
    return data.StructLayout({
        "slot": unsigned(c.slot_bits), "keys": unsigned(c.count_bits), "progressive": 1, "tag": tag_layout(c),
    })


def score_row(c: SpAttenConfig) -> data.StructLayout:
    """R = M/D exact scores out of Q×K for the vector in `slot`: keys row·R … row·R + count − 1.

    `replay`: partial sums of an LSB pass, to be added to the stored scores. `last` of this vector.
    """
    return data.StructLayout({
        "scores": data.ArrayLayout(signed(c.score_bits), c.lanes),
        "count": unsigned(c.lane_count_bits), "last": 1,
        "row": unsigned(c.token_bits), "slot": unsigned(c.slot_bits), "replay": 1,
    })


def prob_row(c: SpAttenConfig) -> data.StructLayout:
    """L final probabilities (12-bit unsigned), full rows: row i holds positions i·L … i·L + L − 1."""
    return data.StructLayout({
        "probs": data.ArrayLayout(unsigned(PROB_BITS), c.lanes),
        "count": unsigned(c.lane_count_bits), "last": 1, "tag": tag_layout(c),
    })


def topk_row(lanes: int, key: int, payload: int, tag: int, count: int) -> data.StructLayout:
    """P elements into or out of a top-k engine: `key` and `payload` bits each.

    `k` (elements to keep, `count` bits) is read on a vector's first input row only; on outputs it is 0.
    """
    return data.StructLayout({
        "keys": data.ArrayLayout(unsigned(key), lanes),
        "payloads": data.ArrayLayout(unsigned(payload), lanes),
        "count": unsigned(lanes.bit_length()), "last": 1,
        "k": unsigned(count), "tag": unsigned(tag),
    })


def kept_row(c: SpAttenConfig) -> data.StructLayout:
    """P kept values out of the local top-k: key = probability, payload = token id if the tag says
    `stream_v`, else position in the survivor list; ascending, dense rows; `tag` bits are a `tag_layout`."""
    return topk_row(c.topk_lanes, PROB_BITS, c.token_bits, tag_layout(c).size, c.count_bits)


def kept_depth(c: SpAttenConfig) -> int:
    """Kept rows that wait while their V rows are fetched: 256, or four longest vectors and two more rows."""
    return max(4, min(256, 4 * c.max_tokens // c.topk_lanes + 2))


def acc_row(c: SpAttenConfig) -> data.StructLayout:
    """Σ P·V of one work item: D exact sums from element 0 (the rest don't-care)."""
    return data.StructLayout({
        "acc": data.ArrayLayout(signed(c.acc_bits), c.max_dim), "tag": tag_layout(c),
    })


def head_sum(c: SpAttenConfig) -> data.StructLayout:
    """Σ |out| over one write beat of an output row, to be added to the importance of `kv_head`."""
    per_beat = c.axi_data_bits // OUT_BITS
    return data.StructLayout({
        "kv_head": unsigned(c.head_bits), "sum": unsigned(OUT_BITS + clog2(per_beat)),
    })


def out_beat(c: SpAttenConfig) -> data.StructLayout:
    """One write beat: whole data word at a logical byte address (aligned to the beat).

    `strobe` per byte; `kind`: 0 output row, 1 state word; `last` of the row or of the state section.
    """
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "strobe": unsigned(c.beat_bytes),
        "addr": unsigned(c.addr_bits), "kind": 1, "last": 1,
    })
