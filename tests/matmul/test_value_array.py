"""The Prob×V array on its own: exact sums at every D, at the ends of all widths, at the stated rate and latency."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from spatten_hw.config import PROB_BITS
from spatten_hw.matmul.value_array import ValueArray, value_array_latency, weighted_layout
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import Elements, pack
from tests.seeds import numbers

from .common import CONFIGS

#: One slice, four (one tree stage), and sixteen (two): four head dimensions, so that every level folds or does not.
BUILDS = {name: CONFIGS[name] for name in ("one_lane", "all_dims")} | {
    "four_dims": CONFIGS["all_dims"].replace(multipliers=64, max_dim=32, operand_bits=4, k_ports=16, v_ports=16,
                                             topk_lanes=16)}
CASES = [(name, dim) for name, c in BUILDS.items() for dim in c.dims]


@cache
def block_of(name: str) -> Block:
    return Block(ValueArray, BUILDS[name])


@dataclass
class Vector:
    """`probs` [steps, R] and `values` [steps, R, D] of the steps of a vector."""

    probs: np.ndarray
    values: np.ndarray

    @property
    def sums(self) -> np.ndarray:
        return np.einsum("sr,srd->d", self.probs, self.values)


def legal(c, probs: np.ndarray) -> np.ndarray:
    """`probs`, none above 12 bits, the last ones 0, so that they sum to what softmax can give at most."""
    flat = np.minimum(probs.ravel(), (1 << PROB_BITS) - 1)
    before = np.concatenate([[0], np.cumsum(flat)[:-1]])
    return np.minimum(flat, np.maximum(0, (1 << PROB_BITS) + c.max_tokens - before)).reshape(probs.shape)


def vector(rng: np.random.Generator, c, dim: int, steps: int) -> Vector:
    r, top = c.multipliers // dim, 1 << (c.operand_bits - 1)
    kind = rng.integers(0, 4)
    # Few large, many small, lanes that add nothing beside values that would.
    probs = rng.integers(0, [2, 64, 1 << PROB_BITS, 1 << PROB_BITS][kind], (steps, r))
    if kind == 3:
        probs[rng.random(probs.shape) < 0.8] = 0
    values = rng.integers(-top, top, (steps, r, dim))
    if rng.random() < 0.3:
        values = rng.choice([-top, top - 1], values.shape)
    return Vector(legal(c, probs), values)


def extremes(c, dim: int) -> list[Vector]:
    """The largest sums of both signs, over one step, over a few and over most; one probability of 1, and none."""
    r, top, most = c.multipliers // dim, 1 << (c.operand_bits - 1), (1 << PROB_BITS) + c.max_tokens
    longest = -(-c.max_tokens // r)
    vectors = []
    for steps in sorted({1, 2, longest}):
        for value in (-top, top - 1):
            full = np.full((steps, r, dim), value)
            probs = legal(c, np.full((steps, r), (1 << PROB_BITS) - 1))
            vectors += [Vector(probs, full), Vector(legal(c, np.full((steps, r), -(-most // (steps * r)))), full)]
            for at in range(r):
                one = np.zeros((steps, r), dtype=np.int64)
                one[-1, at] = 1
                vectors.append(Vector(one, np.where(one[..., None] == 1, full, -top)))
            vectors.append(Vector(np.zeros((steps, r), dtype=np.int64), full))
    assert max(v.probs.sum() for v in vectors) == most
    return vectors


def send(block: Block, rng: np.random.Generator, dim: int, vectors: list[Vector], stall: float,
         gap: int = 1) -> np.ndarray:
    """Offers all steps, one every `gap` cycles; lanes that D does not have carry noise. → each vector's last step."""
    c = block.component.config
    block.set(job={"dim_log2": c.dims.index(dim)})
    steps = np.array([len(v.probs) for v in vectors])
    last = np.zeros(steps.sum(), dtype=np.int64)
    last[np.cumsum(steps) - 1] = 1
    r = c.multipliers // dim
    probs = rng.integers(0, 1 << PROB_BITS, (len(last), c.lanes))
    probs[:, :r] = np.concatenate([v.probs for v in vectors])
    flat = np.concatenate([v.values for v in vectors]).reshape(len(last), c.multipliers)
    number = np.arange(len(vectors)).repeat(steps)
    block.send("i", pack(weighted_layout(c), {
        "probs": probs, "values": Elements(flat, c.operand_bits), "last": last,
        "tag": {"head": number % c.max_heads, "query": number % c.max_tokens, "half": number % 2},
    }), at=block.cycle + gap * np.arange(len(last)), stall=stall, seed=int(rng.integers(1, 1000)))
    return np.cumsum(steps) - 1


def check(block: Block, dim: int, vectors: list[Vector]) -> None:
    c = block.component.config
    got = block.taken("o").columns()
    assert np.array_equal(got["acc"][:, :dim], np.array([v.sums for v in vectors]))
    assert not got["acc"][:, dim:].any()
    number = np.arange(len(vectors))
    assert np.array_equal(got["tag"]["head"], number % c.max_heads)
    assert np.array_equal(got["tag"]["query"], number % c.max_tokens)
    assert np.array_equal(got["tag"]["half"], number % 2)


def lengths(rng: np.random.Generator, c, dim: int, count: int) -> list[int]:
    longest = -(-c.max_tokens // (c.multipliers // dim))
    return [int(n) for n in rng.choice([1, 1, 2, 3, min(longest, 9), rng.integers(1, longest + 1)], count)]


@pytest.mark.parametrize("name,dim", CASES)
def test_exact_under_stalls(name, dim):
    rng, block = numbers("value_array", name, dim), block_of(name)
    c = block.component.config
    for stall_in, stall_out in ((0.0, 0.7), (0.5, 0.0), (0.3, 0.3)):
        vectors = extremes(c, dim) + [vector(rng, c, dim, n) for n in lengths(rng, c, dim, 80)]
        vectors = [vectors[at] for at in rng.permutation(len(vectors))]
        block.receive("o", stall=stall_out, seed=int(rng.integers(1, 1000)))
        send(block, rng, dim, vectors, stall_in)
        block.run(20 * sum(len(v.probs) for v in vectors) + 1000, o=len(vectors))
        check(block, dim, vectors)
        assert block.taken("i").blocked > 0 and (stall_out == 0 or block.taken("o").blocked > 0)
        assert block.get("busy") == 0


@pytest.mark.parametrize("name,dim", CASES)
def test_one_step_per_cycle_at_the_stated_latency(name, dim):
    """Rows follow each other as their vectors' steps do, or after two cycles where a vector has one step; without
    those, a step enters in every cycle and each row leaves at the stated latency."""
    rng, block = numbers("value_array rate", name, dim), block_of(name)
    c = block.component.config
    for least in (2, 1):
        vectors = [vector(rng, c, dim, max(least, n)) for n in lengths(rng, c, dim, 60)]
        steps = np.array([len(v.probs) for v in vectors])
        assert steps.min() == least
        block.receive("o")
        last = send(block, rng, dim, vectors, 0)
        block.run(2 * steps.sum() + 50, o=len(vectors))
        check(block, dim, vectors)
        sent, out = block.taken("i"), block.taken("o").cycles
        assert np.array_equal(np.diff(out), np.maximum(2, steps[1:]))
        latency = out - sent.cycles[last]
        assert latency[0] == value_array_latency(c)
        if least == 2:
            assert sent.bubbles == 0 and (latency == value_array_latency(c)).all()
        else:
            assert sent.blocked > 0


@pytest.mark.parametrize("name", BUILDS)
def test_busy_from_the_first_step_to_the_row(name):
    """`busy` rises in the cycle after a step was taken, and is 1 up to the cycle in which the row is taken; also with
    gaps between the steps, and while the row waits."""
    rng, block = numbers("value_array busy", name), block_of(name)
    c = block.component.config
    dim = c.dims[0]
    for gap, stall in ((1, 0.0), (12, 0.0), (3, 0.9)):
        vectors = [vector(rng, c, dim, 3)]
        block.receive("o", stall=stall, seed=int(rng.integers(1, 1000)))
        send(block, rng, dim, vectors, 0, gap)
        block.high("busy")
        block.run(500, o=1)
        block.idle(30)
        assert block.high("busy") == block.taken("o").cycles[0] - block.taken("i").cycles[0], gap
