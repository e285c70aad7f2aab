"""RowFilter on its own: which elements stay, in which rows, in which cycle each row leaves."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from spatten_hw.topk.packer import packed_row
from spatten_hw.topk.row_filter import RowFilter, filter_command
from tests.seeds import numbers

KEY, PAYLOAD, TAG, MAX_N = 4, 5, 3, 40
TOP = (1 << KEY) - 1
#: One lane, and lanes whose number is no power of two.
LANES = [1, 6]


@cache
def block_of(lanes: int) -> Block:
    return Block(RowFilter, KEY, PAYLOAD, TAG, lanes, MAX_N)


@dataclass
class Vector:
    """Elements in the rows they come in, of `counts` elements each, and what to keep of them."""

    counts: list[int]
    keys: np.ndarray
    payloads: np.ndarray
    threshold: int
    keep_equal: int
    tag: int
    kept: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        equal = self.keys == self.threshold
        self.kept = (self.keys > self.threshold) | (equal & (np.cumsum(equal) <= self.keep_equal))


def vector(rng: np.random.Generator, lanes: int, counts: list[int], keys=None, threshold=None, keep=None) -> Vector:
    n = sum(counts)
    keys = rng.integers(0, TOP + 1, n) if keys is None else np.full(n, keys) if np.isscalar(keys) else keys
    return Vector(counts, keys, rng.integers(0, 1 << PAYLOAD, n),
                  int(rng.integers(0, TOP + 1)) if threshold is None else threshold,
                  int(rng.integers(0, n + 1)) if keep is None else keep, int(rng.integers(0, 1 << TAG)))


def dense(lanes: int, n: int) -> list[int]:
    """Row counts of n elements in rows that are full but for the last."""
    return [min(lanes, n - at) for at in range(0, n, lanes)]


def extremes(rng: np.random.Generator, lanes: int) -> list[Vector]:
    """One element and most; all, none and some kept; ties everywhere, the quota ending in every lane of a row."""
    vectors = []
    for n in (1, lanes, min(MAX_N, 3 * lanes + 1), MAX_N):
        rows = dense(lanes, n)
        vectors += [vector(rng, lanes, rows, threshold=threshold, keep=keep)
                    for threshold in (0, TOP) for keep in (0, 1, n)]
        vectors += [vector(rng, lanes, rows, keys=7, threshold=7, keep=keep) for keep in range(n + 1)]
        # A threshold that no key has: whatever the quota, it lets nothing through.
        vectors += [vector(rng, lanes, rows, keys=keys, threshold=7, keep=n) for keys in (6, 8)]
        vectors += [vector(rng, lanes, rows, keys=rng.choice([6, 7, 8], n), threshold=7) for _ in range(6)]
    return vectors


def mixed(rng: np.random.Generator, lanes: int, number: int) -> list[Vector]:
    """Random vectors; of every third one the rows are filled by chance, also not at all."""
    vectors = []
    for at in range(number):
        rows = dense(lanes, int(rng.choice([1, lanes, MAX_N, rng.integers(1, MAX_N + 1)])))
        if at % 3 == 0:
            rows = [int(rng.integers(0, lanes + 1)) for _ in rows]
        n = sum(rows)
        few = rng.integers(0, TOP + 1, 2)
        vectors.append(vector(rng, lanes, rows, keys=rng.choice(few, n) if rng.random() < 0.5 else None,
                              threshold=int(rng.choice(few)) if rng.random() < 0.7 else None))
    return vectors


def send(block: Block, rng: np.random.Generator, vectors: list[Vector], stall: float) -> int:
    """Offers all vectors, noise in dead lanes; → number of rows."""
    lanes = block.component.lanes
    block.send("cmd", pack(filter_command(KEY, MAX_N.bit_length()), {
        "threshold": np.array([v.threshold for v in vectors]), "keep_equal": np.array([v.keep_equal for v in vectors]),
    }), stall=stall, seed=int(rng.integers(1, 1000)))
    counts = np.array([count for v in vectors for count in v.counts])
    elements = rng.integers(0, 1 << (KEY + PAYLOAD), (len(counts), lanes))
    elements[np.arange(lanes) < counts[:, None]] = np.concatenate([v.payloads << KEY | v.keys for v in vectors])
    block.send("rows", pack(packed_row(KEY + PAYLOAD, lanes, TAG), {
        "elements": elements, "count": counts,
        "last": np.array([at == len(v.counts) - 1 for v in vectors for at in range(len(v.counts))]).astype(int),
        "tag": np.array([v.tag for v in vectors for _ in v.counts]),
    }), stall=stall, seed=int(rng.integers(1, 1000)))
    return len(counts)


def check(block: Block, vectors: list[Vector]) -> None:
    """What left: kept elements in order, rows full but for the last, one empty row where nothing is kept."""
    lanes = block.component.lanes
    got = block.taken("o").columns()
    at = 0
    for v in vectors:
        rows = -(-int(v.kept.sum()) // lanes) or 1
        part = slice(at, at + rows)
        count = got["count"][part]
        live = np.arange(lanes) < count[:, None]
        assert got["last"][part].tolist() == [0] * (rows - 1) + [1], v
        assert (count[:-1] == lanes).all() and count.sum() == v.kept.sum(), v
        assert np.array_equal(got["keys"][part][live], v.keys[v.kept]), v
        assert np.array_equal(got["payloads"][part][live], v.payloads[v.kept]), v
        assert (got["tag"][part] == v.tag).all() and not got["k"][part].any(), v
        at += rows
    assert at == len(got["last"])


def rows_out(lanes: int, vectors: list[Vector]) -> int:
    return sum(-(-int(v.kept.sum()) // lanes) or 1 for v in vectors)


@pytest.mark.parametrize("lanes", LANES)
def test_keeps_under_stalls(lanes):
    rng, block = numbers("row_filter", lanes), block_of(lanes)
    for stall_in, stall_out in ((0.0, 0.6), (0.4, 0.0), (0.3, 0.3), (0.0, 0.95)):
        vectors = extremes(rng, lanes) + mixed(rng, lanes, 150)
        block.receive("o", stall=stall_out, seed=int(rng.integers(1, 1000)))
        block.high("freed")
        rows = send(block, rng, vectors, stall_in)
        block.run(100 * rows + 1000, o=rows_out(lanes, vectors))
        block.idle(20)
        check(block, vectors)
        assert block.taken("rows").fired == rows == block.high("freed")
        assert block.taken("cmd").fired == len(vectors)
        assert stall_out == 0 or block.taken("o").blocked > 0


@pytest.mark.parametrize("lanes", LANES)
def test_one_row_per_cycle_at_the_stated_latency(lanes):
    """Every row enters in the cycle after the one before, and every row out leaves when the docstrings say."""
    rng, block = numbers("row_filter rate", lanes), block_of(lanes)
    vectors = extremes(rng, lanes) + mixed(rng, lanes, 300)
    block.receive("o")
    rows = send(block, rng, vectors, 0)
    block.run(rows + 50, o=rows_out(lanes, vectors))
    check(block, vectors)
    sent = block.taken("rows")
    assert sent.fired == rows and sent.bubbles == 0
    want, delayed = departures(lanes, vectors, sent.cycles)
    assert block.taken("o").cycles.tolist() == want
    assert delayed > 0 or lanes == 1, "no last row left anything over"


def departures(lanes: int, vectors: list[Vector], cycles: np.ndarray) -> tuple[list[int], int]:
    """Cycles of all output rows: a full one with the row that brings an element too many, the last one with the
    vector's last row, or one later if that row leaves something over or the output is taken; how many those are."""
    want: list[int] = []
    entered = iter(cycles.tolist())
    delayed = 0
    for v in vectors:
        fill = at = 0
        for count in v.counts:
            cycle = next(entered) + RowFilter.LATENCY
            fill += int(v.kept[at:at + count].sum())
            at += count
            if over := fill > lanes:
                want.append(cycle)
                fill -= lanes
        later = over or (bool(want) and want[-1] == cycle)
        delayed += later
        want.append(cycle + later)
    return want, delayed


@pytest.mark.parametrize("lanes", LANES)
def test_holds_no_more_vectors_than_stated(lanes):
    """An output that hardly ever moves fills every register: four stages and three of the packer, if the first vector
    leaves something over. `DEPTH` counts the row that is read, too, which then has to wait."""
    rng, block = numbers("row_filter depth", lanes), block_of(lanes)
    vectors = [vector(rng, lanes, [lanes, lanes], threshold=0, keep=2 * lanes)]
    vectors += [vector(rng, lanes, [lanes]) for _ in range(60)]
    block.receive("o", stall=0.97, seed=int(rng.integers(1, 1000)))
    send(block, rng, vectors, 0)
    block.run(20_000, o=rows_out(lanes, vectors))
    check(block, vectors)
    out = block.taken("o")
    read, left = block.taken("cmd").cycles, out.cycles[out.columns()["last"] == 1]
    inside = [int((read <= cycle).sum() - (left < cycle).sum()) for cycle in read]
    assert max(inside) == RowFilter.DEPTH - 1
