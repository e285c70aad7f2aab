"""Blocks: which queries of a job share rows of K and V, what they see, and when that is known."""

from functools import cache

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from spatten_hw.control.blocks import Blocks
from spatten_hw.sim.harness.block import Block
from tests.seeds import numbers

from .test_walker import BASE

CONFIGS = {
    "four slices": BASE.replace(chunk_queries=1),
    "one slice": BASE.replace(multipliers=4, chunk=4, max_dim=4, channels=1, chunk_queries=1),
    "groups of eight": BASE.replace(max_group=8, chunk_queries=1),
}


class Rig(wiring.Component):
    """`Blocks` beside the stream without which a block cannot be simulated."""

    def __init__(self, config):
        self.blocks = Blocks(config)
        self.latency = self.blocks.latency
        super().__init__(dict(self.blocks.signature.members) | {"unused": In(stream.Signature(1))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.blocks = self.blocks
        for name, member in self.blocks.signature.members.items():
            inner, outer = getattr(self.blocks, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        return m


@cache
def built(name: str) -> Block:
    return Block(Rig, CONFIGS[name])


def draw(rng: np.random.Generator, c) -> dict:
    """Survivors of a job whose last `queries` tokens all survive."""
    tokens = int(rng.integers(1, c.max_tokens + 1))
    queries = int(rng.choice([0, 1, tokens, rng.integers(1, tokens + 1)]))
    old = tokens - max(1, queries)
    alive = np.concatenate([np.flatnonzero(rng.random(old) < rng.choice([0.2, 0.8, 1.0])), np.arange(old, tokens)])
    return {"tokens": tokens, "queries": queries, "group": int(rng.integers(1, c.max_group + 1)),
            "causal": int(rng.integers(2)) if queries else 0, "alive": alive}


def counts(c, ids: np.ndarray) -> np.ndarray:
    return np.bincount(ids % c.slices, minlength=c.slices)


@pytest.mark.parametrize("name", CONFIGS)
def test_blocks_of_random_jobs(name):
    rng, block, c = numbers("blocks", name), built(name), CONFIGS[name]
    block.reset()
    for _ in range(60):
        j = draw(rng, c)
        width = c.max_rows.bit_length()
        block.set(job={n: j[n] for n in ("tokens", "queries", "group", "causal")},
                  counts=sum(int(n) << width * s for s, n in enumerate(counts(c, j["alive"]))))
        block.idle(12)
        block.set(start=1)
        block.idle(1)
        block.set(start=0)
        total, size = max(1, j["queries"]), max(1, c.max_group // j["group"])
        blocks = [(first, min(size, total - first)) for first in range(0, total, size)]
        for at, (first, positions) in enumerate(2 * blocks):       # the second time for the next head
            waited = 0
            while not block.get("ready"):
                block.idle(1)
                waited += 1
            again = at > 0 and len(blocks) > 1
            assert waited == (block.component.latency if again or (at == 0 and j["queries"] > 1) else 0)
            offset = j["tokens"] - total
            limit = offset + first + positions if j["causal"] else j["tokens"]
            seen = counts(c, j["alive"][j["alive"] < limit])
            assert block.get("current") == {
                "first": first, "positions": positions, "gang": positions * j["group"],
                "start": offset + first + 1 if j["causal"] else j["tokens"], "limit": limit, "step": j["causal"],
                "final_row": seen.max() - 1, "last": int(first + positions == total)}, (j, at)
            assert block.get("dead") == (counts(c, np.arange(j["tokens"])) - counts(c, j["alive"])).tolist()
            block.idle(int(rng.integers(0, 4)))
            block.set(following=1)
            block.idle(1)
            block.set(following=0)
