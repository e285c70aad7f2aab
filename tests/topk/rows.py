"""Vectors worth trying, as rows with live lanes, and what an engine must answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.sim.golden.topk import topk_mask
from spatten_hw.sim.harness.block import Block


@dataclass
class Vector:
    """Live keys in order, and the rows they are in: `live` bool [rows, lanes]."""

    keys: np.ndarray
    k: int
    live: np.ndarray


def dense(n: int, lanes: int) -> np.ndarray:
    """n keys in as few rows as hold them."""
    live = np.zeros(-(-n // lanes) * lanes, dtype=bool)
    live[:n] = True
    return live.reshape(-1, lanes)


def ragged(rng: np.random.Generator, n: int, lanes: int, max_rows: int) -> np.ndarray:
    """n keys anywhere in up to `max_rows` rows, some of which may be dead."""
    rows = int(rng.integers(-(-n // lanes), max_rows + 1))
    live = np.zeros(rows * lanes, dtype=bool)
    live[rng.permutation(rows * lanes)[:n]] = True
    return live.reshape(-1, lanes)


def shapes_of_keys(rng: np.random.Generator, n: int, bits: int) -> list[np.ndarray]:
    """Random, constant, sorted both ways, two-valued and extreme keys."""
    top = (1 << bits) - 1
    draw = rng.integers(0, top, n, endpoint=True, dtype=np.uint64)
    same = rng.integers(0, top, endpoint=True, dtype=np.uint64)
    few = np.minimum(float(min(top, 1 << 60)), rng.exponential(max(1.0, top / 50), n)).astype(np.uint64)
    return [draw, np.full(n, top, dtype=np.uint64), np.zeros(n, dtype=np.uint64), np.full(n, same),
            np.sort(draw), np.sort(draw)[::-1], rng.choice(np.array([1, top], dtype=np.uint64), n), few,
            np.where(np.arange(n) == n - 1, np.uint64(top), np.uint64(0))]


def send(block: Block, rng: np.random.Generator, vectors: list[Vector], **stall) -> np.ndarray:
    """Offers the vectors back to back, noise in dead lanes and in `k` behind the first row. → rows of each."""
    engine = block.component
    top = (1 << engine.key_bits) - 1
    rows = np.array([len(v.live) for v in vectors])
    live = np.concatenate([v.live for v in vectors])
    keys = rng.choice(np.array([0, 1, top], dtype=np.uint64), live.shape)
    keys[live] = np.concatenate([v.keys for v in vectors])
    ends = np.cumsum(rows)
    first, last = np.zeros(len(live), dtype=bool), np.zeros(len(live), dtype=bool)
    last[ends - 1] = True
    first[ends - rows] = True
    noise = rng.integers(0, 1 << engine.count_bits, len(live))
    k = np.where(first, np.repeat([v.k for v in vectors], rows), noise)
    block.send("i", {"keys": keys, "live": live @ (1 << np.arange(engine.lanes)), "last": last.astype(int), "k": k},
               **stall)
    return rows


def check(block: Block, vectors: list[Vector]) -> None:
    """The thresholds taken keep what the golden model keeps."""
    got = block.taken("o").columns()
    assert len(got["threshold"]) == len(vectors)
    for number, (v, bound, quota) in enumerate(zip(vectors, got["threshold"], got["keep_equal"], strict=True)):
        keys = v.keys.astype(object) if block.component.key_bits > 62 else v.keys.astype(np.int64)
        equal = keys == int(bound)
        kept = (keys > int(bound)) | (equal & (np.cumsum(equal) <= int(quota)))
        want = topk_mask(keys, v.k)
        assert np.array_equal(kept, want), f"vector {number}: n={len(keys)} k={v.k} got {bound}, {quota}"


def run(block: Block, rng: np.random.Generator, vectors: list[Vector], stall_in: float = 0.0,
        stall_out: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """All vectors through the engine. → cycles of every row, cycles of every threshold."""
    seed = int(rng.integers(1, 1000))
    block.receive("o", stall=stall_out, seed=seed + 1)
    send(block, rng, vectors, stall=stall_in, seed=seed)
    engine = block.component
    work = sum(engine.most_cycles(len(v.keys), len(v.live)) + len(v.live) for v in vectors)
    slow = (1 - stall_in) * (1 - stall_out)
    block.run(int((work + 400) / slow * 1.5) + 50 * len(vectors), o=len(vectors))
    check(block, vectors)
    return block.taken("i").cycles, block.taken("o").cycles
