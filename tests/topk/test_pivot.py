"""RowSampler: samples are live keys of the vector in their lanes, from all of its rows."""

from functools import cache

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.sim.harness.block import Block
from spatten_hw.topk.pivot import RandomBits, RowSampler
from tests.seeds import numbers

#: Lanes, samples, max_rows; sample j is of lane j · lanes // samples.
BUILDS = [(8, 7, 32), (3, 3, 12), (2, 2, 1)]
KEY_BITS = 16


class Sampled(wiring.Component):
    """Rows in, as the sampler has them one per cycle; behind each of them the samples. Nothing waits."""

    def __init__(self, lanes: int, count: int, max_rows: int):
        self.sizes = KEY_BITS, lanes, count, max_rows
        row = data.StructLayout({"keys": data.ArrayLayout(KEY_BITS, lanes), "live": lanes, "last": 1})
        super().__init__({"i": In(stream.Signature(row)),
                          "o": Out(stream.Signature(data.ArrayLayout(KEY_BITS, count)))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.random = random = RandomBits()
        m.submodules.sampler = sampler = RowSampler(*self.sizes)
        m.d.comb += [
            self.i.ready.eq(1), sampler.valid.eq(self.i.valid), sampler.keys.eq(self.i.p.keys),
            sampler.live.eq(self.i.p.live), sampler.last.eq(self.i.p.last), sampler.random.eq(random.bits),
            self.o.payload.eq(sampler.samples),
        ]
        m.d.sync += self.o.valid.eq(self.i.valid)
        return m


@cache
def block_of(*sizes: int) -> Block:
    return Block(Sampled, *sizes)


def samples_of(block: Block, keys: np.ndarray, live: np.ndarray, last: np.ndarray, stall: float, seed: int
               ) -> np.ndarray:
    """[rows, samples]: those behind each row."""
    block.receive("o")
    block.send("i", {"keys": keys, "live": live @ (1 << np.arange(live.shape[1])), "last": last.astype(int)},
               stall=stall, seed=seed)
    block.run(20 * len(keys) + 100, o=len(keys))
    layout = block.component.o.p.shape()
    bits = np.array(block.taken("o").integers(), dtype=object)[:, None]
    return (bits >> KEY_BITS * np.arange(layout.length) & (1 << KEY_BITS) - 1).astype(np.int64)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_samples_are_of_the_vector(build, stall):
    """A lane's first live key is taken; a later one takes its place or leaves it; nothing else changes a sample."""
    rng, block = numbers("samples", build), block_of(*build)
    lanes, count, max_rows = build
    lengths = rng.integers(1, max_rows + 1, 100)
    last = np.concatenate([np.arange(n) == n - 1 for n in lengths])
    live = rng.random((len(last), lanes)) < rng.choice([0.2, 0.6], len(last))[:, None]
    keys = rng.integers(0, 1 << KEY_BITS, live.shape)
    got = samples_of(block, keys, live, last, stall, int(rng.integers(1, 1000)))
    replaced = 0
    for j in range(count):
        lane, held = j * lanes // count, False
        for n in range(len(last)):
            if not live[n, lane]:
                assert n == 0 or got[n, j] == got[n - 1, j]
            elif got[n, j] != keys[n, lane]:
                assert held and got[n, j] == got[n - 1, j]
            else:
                replaced += held
            held = not last[n] and (held or bool(live[n, lane]))
    assert replaced or max_rows == 1


def test_samples_are_of_all_rows():
    """Of every quarter of a vector about as many."""
    rng, block = numbers("sampled rows"), block_of(*BUILDS[0])
    lanes, _, rows = BUILDS[0]
    vectors = 200
    keys = np.tile(np.arange(rows)[:, None], (vectors, lanes))
    last = np.tile(np.arange(rows) == rows - 1, vectors)
    got = samples_of(block, keys, np.ones_like(keys, dtype=bool), last, 0.0, int(rng.integers(1, 1000)))
    share = np.bincount(got[last].ravel() * 4 // rows, minlength=4) / got[last].size
    print(share)
    assert np.all(share > 0.12) and np.all(share < 0.4)
