"""ScoreSlots on its own: rows of many slots in any order, LSB passes on top, maxima at the stated latency."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from spatten_hw.softmax.rows import ready_vector
from spatten_hw.softmax.score_slots import ScoreSlots
from spatten_hw.stream.layouts import score_row
from tests.seeds import numbers

from .test_softmax import TINY

#: Four lanes at three head dimensions; one lane; one head dimension, with more slots than rows of a vector.
BUILDS = {"three dims": TINY, "one lane": TINY.replace(multipliers=4, max_dim=4, max_tokens=16, slots=2, max_group=2),
          "one dim": TINY.replace(multipliers=32, max_dim=4, max_tokens=16, slots=8)}


class Rig(wiring.Component):
    """`ScoreSlots` with its read port as streams: a row asked for on `reads` is on `scores` one cycle later."""

    def __init__(self, name: str):
        self.config = c = BUILDS[name]
        self.slots = ScoreSlots(c)
        ports = self.slots.signature.members
        super().__init__({
            "dim_log2": ports["dim_log2"], "i": ports["i"], "ready": ports["ready"], "active": ports["active"],
            "reads": In(stream.Signature(unsigned(c.slot_bits + self.slots.row_bits))),
            "scores": Out(stream.Signature(data.StructLayout({"row": ports["read_scores"].shape}))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.slots = slots = self.slots
        there = Signal()
        m.d.sync += there.eq(self.reads.valid)
        m.d.comb += [slots.dim_log2.eq(self.dim_log2), self.active.eq(slots.active), self.reads.ready.eq(1),
                     slots.read_row.eq(self.reads.payload), self.scores.valid.eq(there),
                     self.scores.p.row.eq(slots.read_scores)]
        connect(m, flipped(self.i), slots.i)
        connect(m, slots.ready, flipped(self.ready))
        return m


@cache
def block_of(name: str) -> Block:
    return Block(Rig, name)


@dataclass
class Pass:
    """Scores of the vector in `slot`, or partial sums that are added to them."""

    slot: int
    scores: np.ndarray
    replay: bool


def fresh(rng: np.random.Generator, c: SpAttenConfig, slot: int, r: int) -> Pass:
    """A new vector: random scores, all equal, all at one end, the largest in the last or the first place."""
    n = int(rng.choice([1, r, c.max_tokens, c.max_tokens - 1, rng.integers(1, c.max_tokens + 1)]))
    top = 1 << (c.score_bits - 1)
    scores = rng.integers(-top, top, n)
    kind = rng.integers(0, 5)
    if kind == 0:
        scores = np.full(n, rng.choice([-top, -1, 0, top - 1]))
    elif kind == 1:
        scores = np.minimum(scores, -2)
        scores[int(rng.choice([0, n - 1]))] = -1
    return Pass(slot, scores, False)


def replay(rng: np.random.Generator, c: SpAttenConfig, before: Pass) -> Pass:
    """An LSB pass on what the slot holds: the sums fit the scores' width."""
    top = 1 << (c.score_bits - 1)
    sums = rng.integers(-top, top, len(before.scores))
    parts = np.clip(sums - before.scores, -top, top - 1)
    return Pass(before.slot, parts, True)


def send(block: Block, rng: np.random.Generator, passes: list[Pass], r: int, stall: float) -> np.ndarray:
    """Offers the rows of all passes, of each in order, mixed at random; dead lanes hold noise. → each row's pass."""
    c = block.component.config
    rows = [-(-len(p.scores) // r) for p in passes]
    order = rng.permutation(np.arange(len(passes)).repeat(rows))
    if rng.random() < 0.3:
        order = np.sort(order)
    seen = np.zeros(len(passes), dtype=int)
    top = 1 << (c.score_bits - 1)
    columns = {name: [] for name in ("count", "last", "row", "slot", "replay")}
    scores = rng.choice([-top, top - 1], (len(order), c.lanes))
    for at, number in enumerate(order):
        p, row = passes[number], int(seen[number])
        live = p.scores[row * r:(row + 1) * r]
        scores[at, :len(live)] = live
        seen[number] += 1
        for name, value in (("count", len(live)), ("last", seen[number] == rows[number]), ("row", row),
                            ("slot", p.slot), ("replay", p.replay)):
            columns[name].append(int(value))
    block.send("i", pack(score_row(c), {"scores": scores} | {n: np.array(v) for n, v in columns.items()}), stall=stall,
               seed=int(rng.integers(1, 1000)))
    return order


def check_ready(block: Block, passes: list[Pass], order: np.ndarray, held: dict[int, Pass], prompt: bool) -> None:
    """Vectors are ready in the order of their last rows, with their maxima; `prompt`: `latency` cycles after it."""
    got = block.taken("ready")
    ends = [int(np.flatnonzero(order == n)[-1]) for n in range(len(passes))]
    finished = np.argsort(ends)
    columns = got.columns()
    assert columns["slot"].tolist() == [passes[n].slot for n in finished]
    assert columns["replay"].tolist() == [int(passes[n].replay) for n in finished]
    assert columns["top"].tolist() == [int(held[passes[n].slot].scores.max()) for n in finished]
    late = got.cycles - block.taken("i").cycles[np.sort(ends)]
    least = block.component.slots.latency
    assert (late == least).all() if prompt else (late >= least).all()


def check_stored(block: Block, rng: np.random.Generator, c: SpAttenConfig, held: dict[int, Pass]) -> None:
    """Every score of every slot, in rows of L, read in any order."""
    row_bits = block.component.slots.row_bits
    wanted = [(slot, row) for slot, p in held.items() for row in range(-(-len(p.scores) // c.lanes))]
    wanted = [wanted[at] for at in rng.permutation(len(wanted))]
    block.receive("scores")
    block.send("reads", [slot << row_bits | row for slot, row in wanted])
    block.run(len(wanted) + 10, scores=len(wanted))
    got = block.taken("scores").columns()["row"]
    for have, (slot, row) in zip(got, wanted, strict=True):
        want = held[slot].scores[row * c.lanes:(row + 1) * c.lanes]
        assert have[:len(want)].tolist() == want.tolist(), (slot, row)


CASES = [(name, dim) for name, c in BUILDS.items() for dim in range(len(c.dims))]


@pytest.mark.parametrize("name,dim_log2", CASES)
def test_scores_and_maxima(name, dim_log2):
    rng, block, c = numbers("score_slots", name, dim_log2), block_of(name), BUILDS[name]
    assert ready_vector(c)["top"].width == c.score_bits
    block.set(dim_log2=dim_log2)
    r = c.lanes >> dim_log2
    held: dict[int, Pass] = {}
    replays = 0
    for turn in range(25):
        slots = rng.permutation(c.slots)[:int(rng.integers(1, c.slots + 1))]
        passes = [replay(rng, c, held[s]) if s in held and rng.random() < 0.5 else fresh(rng, c, s, r)
                  for s in slots.tolist()]
        for p in passes:
            held[p.slot] = Pass(p.slot, held[p.slot].scores + p.scores if p.replay else p.scores, False)
            replays += p.replay
        stall_in, stall_out = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.8))[turn % 3]
        block.receive("ready", stall=stall_out, seed=int(rng.integers(1, 1000)))
        order = send(block, rng, passes, r, stall_in)
        block.run(10 * len(order) + 300, ready=len(passes))
        assert stall_in or block.taken("i").bubbles == 0, "a row is always accepted"
        check_ready(block, passes, order, held, prompt=stall_out == 0)
        block.idle(2)
        assert block.get("active") == 0
        check_stored(block, rng, c, held)
    assert replays > 5
