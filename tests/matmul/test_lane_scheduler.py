"""LaneScheduler on its own: every element once, on its lane, with its own vector's; steps within the stated bounds."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.matmul.lane_scheduler import SCHEDULER_LATENCY, LaneScheduler
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from spatten_hw.stream.layouts import kept_row, tag_layout
from tests.seeds import numbers

from .common import CONFIGS

#: As many top-k lanes as lanes, at three head dimensions; more; one lane of each.
BUILDS = {name: CONFIGS[name] for name in ("all_dims", "wide_topk", "one_lane")}
CASES = [(name, dim) for name, c in BUILDS.items() for dim in c.dims]


@cache
def block_of(name: str) -> Block:
    return Block(LaneScheduler, BUILDS[name])


@dataclass
class Vector:
    """Kept probabilities with their payloads (positions; noise if streamed), in rows of P."""

    probs: np.ndarray
    payloads: np.ndarray
    stream: bool
    tag: int

    def lanes(self, r: int, p: int) -> list[list[list[int]]]:
        """Elements of each lane, by kept row."""
        of = [[[] for _ in range(r)] for _ in range(0, len(self.probs), p)]
        for e in range(len(self.probs)):
            of[e // p][(e if self.stream else int(self.payloads[e])) % r].append(e)
        return of


def vector(rng: np.random.Generator, c: SpAttenConfig, r: int, number: int, stream: bool | None = None) -> Vector:
    """`number` elements; buffered ones in random places, side by side, or all in one lane if it has so many."""
    stream = bool(rng.random() < 0.4) if stream is None else stream
    room = min(c.max_tokens, c.sram_rows * r)
    if stream:
        payloads = rng.integers(0, 1 << c.token_bits, number)
    else:
        payloads = np.sort(rng.choice(room, number, replace=False))
        kind = rng.integers(0, 3)
        if kind == 0:
            payloads = np.arange(number)
        elif kind == 1 and number <= room // r:
            payloads = np.arange(number) * r + int(rng.integers(0, r))
    # A kept probability may be 0.
    probs = rng.integers(1, 1 << PROB_BITS, number) * (rng.random(number) < 0.95)
    tag = int(rng.integers(0, 1 << tag_layout(c).size)) & ~(1 << tag_layout(c)["stream_v"].offset)
    return Vector(probs, payloads, stream, tag | stream << tag_layout(c)["stream_v"].offset)


def vectors(rng: np.random.Generator, c: SpAttenConfig, r: int, count: int) -> list[Vector]:
    room = min(c.max_tokens, c.sram_rows * r)
    return [vector(rng, c, r, int(rng.choice([1, r, min(room, c.topk_lanes + 1), room, rng.integers(1, room + 1)])))
            for _ in range(count)]


def send(block: Block, rng: np.random.Generator, work: list[Vector], stall: float) -> int:
    """Offers all rows, noise in dead lanes; → how many they are."""
    c = block.component.config
    p = c.topk_lanes
    columns: dict[str, list] = {name: [] for name in ("keys", "payloads", "count", "last", "tag")}
    for v in work:
        for at in range(0, len(v.probs), p):
            live = len(v.probs[at:at + p])
            columns["keys"].append([*v.probs[at:at + p], *rng.integers(0, 1 << PROB_BITS, p - live)])
            columns["payloads"].append([*v.payloads[at:at + p], *rng.integers(0, 1 << c.token_bits, p - live)])
            columns["count"].append(live)
            columns["last"].append(int(at + p >= len(v.probs)))
            columns["tag"].append(v.tag)
    block.send("kept", pack(kept_row(c), {name: np.array(v, dtype=np.int64) for name, v in columns.items()}),
               stall=stall, seed=int(rng.integers(1, 1000)))
    return len(columns["count"])


def check(block: Block, work: list[Vector], r: int) -> list[int]:
    """Steps vector by vector; → how many each took."""
    c = block.component.config
    got = block.taken("o").columns()
    tags = pack(tag_layout(c), got["tag"]).astype(np.int64)
    tags = (tags << 8 * np.arange(tags.shape[1])).sum(axis=1)
    ends = np.flatnonzero(got["last"])
    assert len(ends) == len(work) and ends[-1] == len(got["last"]) - 1
    steps, start = [], 0
    for v, end in zip(work, ends.tolist(), strict=True):
        probs, rows = got["probs"][start:end + 1], got["rows"][start:end + 1]
        assert (tags[start:end + 1] == v.tag).all() and not probs[:, r:].any()
        by_row = v.lanes(r, c.topk_lanes)
        for lane in range(r):
            mine = [e for row in by_row for e in row[lane]]
            live = probs[:, lane] > 0
            assert probs[live, lane].tolist() == [v.probs[e] for e in mine if v.probs[e]], (lane, v)
            assert v.stream or rows[live, lane].tolist() == [v.payloads[e] // r for e in mine if v.probs[e]], (lane, v)
        steps.append(end + 1 - start)
        # Never fewer than its fullest lane has, never more than its rows' fullest lanes one after the other.
        loads = np.array([[len(lane) for lane in row] for row in by_row])
        assert loads.sum(axis=0).max() <= steps[-1] <= loads.max(axis=1).sum()
        if v.stream:
            assert steps[-1] == -(-len(v.probs) // r)
            order = np.zeros(steps[-1] * r, dtype=np.int64)
            order[:len(v.probs)] = v.probs
            assert np.array_equal(probs[:, :r].ravel(), order), "not in the order in which rows are fetched"
        start = end + 1
    return steps


@pytest.mark.parametrize("name,dim", CASES)
def test_every_element_under_stalls(name, dim):
    rng, block, c = numbers("lane_scheduler", name, dim), block_of(name), BUILDS[name]
    r = c.multipliers // dim
    block.set(job={"dim_log2": c.dims.index(dim)})
    for stall_in, stall_out in ((0.0, 0.6), (0.6, 0.0), (0.3, 0.3)):
        work = vectors(rng, c, r, 60)
        block.receive("o", stall=stall_out, seed=int(rng.integers(1, 1000)))
        rows = send(block, rng, work, stall_in)
        elements = sum(len(v.probs) for v in work)
        block.run(20 * elements + 1000, kept=rows)
        block.idle(20 * c.topk_lanes + 50)
        check(block, work, r)
        assert block.get("busy") == 0


@pytest.mark.parametrize("name,dim", CASES)
def test_one_step_per_cycle(name, dim):
    """No idle cycle within or between vectors; the first step at the stated latency. A vector that is spread evenly
    takes as many steps as its fullest lane has elements."""
    rng, block, c = numbers("lane_scheduler rate", name, dim), block_of(name), BUILDS[name]
    r = c.multipliers // dim
    block.set(job={"dim_log2": c.dims.index(dim)})
    work = vectors(rng, c, r, 80)
    # One element each: a row, and a slot of the window, in every cycle.
    work += [vector(rng, c, r, 1) for _ in range(20)]
    block.receive("o")
    rows = send(block, rng, work, 0)
    block.run(20 * sum(len(v.probs) for v in work) + 1000, kept=rows)
    block.idle(20 * c.topk_lanes + 50)
    steps = check(block, work, r)
    out = block.taken("o")
    assert out.bubbles == 0 and out.cycles[0] - block.taken("kept").cycles[0] == SCHEDULER_LATENCY
    even = [at for at, v in enumerate(work) if np.array_equal(v.payloads, np.arange(len(v.probs)))]
    assert even and all(steps[at] == -(-len(work[at].probs) // r) for at in even)
