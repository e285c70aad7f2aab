"""ScoreSlots on its own: scores of many slots and slices in any order, LSB passes on top, maxima, stated latency."""

from functools import cache

import numpy as np
import pytest
from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.block import Block
from spatten_hw.softmax.rows import ready_vector
from spatten_hw.softmax.score_slots import ScoreSlots, given_slot
from spatten_hw.softmax.slice_scores import SliceScores
from tests.seeds import numbers

from .test_softmax import TINY

BUILDS = {"four": TINY, "one slice": TINY.replace(multipliers=4, max_dim=4, max_tokens=16, slots=2, max_group=2,
                                                  channels=1),
          "more slots than rows": TINY.replace(multipliers=32, max_tokens=16, slots=8)}


class Rig(wiring.Component):
    """`ScoreSlots` with its read port as streams: a row asked for on `reads` is on `scores` one cycle later."""

    def __init__(self, name: str):
        self.config = c = BUILDS[name]
        self.slots = ScoreSlots(c)
        ports = self.slots.signature.members
        super().__init__({
            "given": In(stream.Signature(given_slot(c))), "i": ports["i"],
            "ready": ports["ready"], "active": ports["active"],
            "reads": In(stream.Signature(unsigned(c.slot_bits + c.row_bits))),
            "scores": Out(stream.Signature(data.StructLayout({"row": ports["read_scores"].shape}))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.slots = slots = self.slots
        there = Signal()
        m.d.sync += there.eq(self.reads.valid)
        m.d.comb += [self.active.eq(slots.active), self.reads.ready.eq(1), self.given.ready.eq(1),
                     slots.given.valid.eq(self.given.valid), slots.given.payload.eq(self.given.payload),
                     slots.read_row.eq(self.reads.payload), self.scores.valid.eq(there),
                     self.scores.p.row.eq(slots.read_scores)]
        for inside, outside in zip(slots.i, self.i, strict=True):
            connect(m, flipped(outside), inside)
        connect(m, slots.ready, flipped(self.ready))
        return m


@cache
def block_of(name: str) -> Block:
    return Block(Rig, name)


def fresh(rng: np.random.Generator, c: SpAttenConfig) -> list[np.ndarray]:
    """A new vector's scores by slice: random, all equal, all at one end."""
    keys = rng.integers(0, c.max_rows + 1, c.slices) * (rng.random(c.slices) < 0.7)
    keys[rng.integers(0, c.slices)] = rng.integers(1, c.max_rows + 1)
    top = 1 << (c.score_bits - 1)
    low, high = [(-top, top), (-top, -top + 1), (top - 1, top), (-3, 0)][rng.integers(0, 4)]
    return [rng.integers(low, high, n) for n in keys]


def partial(rng: np.random.Generator, c: SpAttenConfig, before: list[np.ndarray]) -> list[np.ndarray]:
    """An LSB pass on what a slot holds: the sums fit the scores' width."""
    top = 1 << (c.score_bits - 1)
    return [np.clip(rng.integers(-top, top, len(b)) - b, -top, top - 1) for b in before]


@pytest.mark.parametrize("name", BUILDS)
def test_scores_and_maxima(name):
    rng, block, c = numbers("score_slots", name), block_of(name), BUILDS[name]
    assert ready_vector(c)["top"].width == c.score_bits
    block.reset()
    held: dict[int, list[np.ndarray]] = {}
    for turn in range(25):
        slots = rng.permutation(c.slots)[:int(rng.integers(1, c.slots + 1))].tolist()
        replayed = [s for s in slots if s in held and rng.random() < 0.5]
        new = [s for s in slots if s not in replayed]
        parts = {s: partial(rng, c, held[s]) if s in replayed else fresh(rng, c) for s in slots}
        if new:
            block.send("given", {"slot": new, "keys": np.array([[len(p) for p in parts[s]] for s in new])})
            block.run(len(new) + 2, given=len(new))
        for s in slots:
            held[s] = [a + b for a, b in zip(held[s], parts[s], strict=True)] if s in replayed else parts[s]
        stall_in, stall_out = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.8))[turn % 3]
        block.receive("ready", stall=stall_out, seed=int(rng.integers(1, 1000)))
        order = []
        for part in range(c.slices):
            places = [(s, row) for s in slots for row in range(len(parts[s][part]))]
            places = [places[at] for at in rng.permutation(len(places))]
            order.append(places)
            block.send(f"i__{part}", {
                "score": np.array([parts[s][part][row] for s, row in places]),
                "slot": np.array([s for s, _ in places]), "row": np.array([row for _, row in places]),
                "replay": np.array([int(s in replayed) for s, _ in places])} if places else [], stall=stall_in,
                seed=int(rng.integers(1, 1000)))
        block.run(5000, ready=len(slots))
        check_ready(block, c, order, held, replayed, prompt=stall_out == 0)
        block.idle(2)
        assert block.get("active") == 0
        check_stored(block, rng, c, held)


@pytest.mark.parametrize("name", BUILDS)
def test_active_while_scores_are_under_way(name):
    """In every cycle from a score's arrival until it is stored, or until its vector is taken if it is the last one."""
    block, c = block_of(name), BUILDS[name]
    latency = block.component.slots.latency
    for part in range(c.slices):
        block.reset()
        block.send("given", {"slot": [1], "keys": np.array([[2 * (s == part) for s in range(c.slices)]])})
        block.run(5, given=1)
        block.receive("ready")
        assert block.get("active") == 0
        for row, (fired, cycles) in enumerate(((0, SliceScores.LATENCY), (1, latency))):
            block.high("active")
            block.send(f"i__{part}", {"score": [row - 5], "slot": [1], "row": [row], "replay": [0]})
            block.idle(latency + 10)
            assert block.taken("ready").fired == fired and block.high("active") == cycles, (part, row)


def check_ready(block: Block, c: SpAttenConfig, order: list[list[tuple[int, int]]], held: dict[int, list[np.ndarray]],
                replayed: list[int], prompt: bool) -> None:
    """Vectors are ready as their last scores come, one per cycle, with their maxima; `prompt`: as soon as stated."""
    done: dict[int, int] = {}
    for part, places in enumerate(order):
        for (slot, _), cycle in zip(places, block.taken(f"i__{part}").cycles.tolist(), strict=True):
            done[slot] = max(done.get(slot, 0), cycle)
    got = block.taken("ready")
    columns = got.columns()
    assert sorted(columns["slot"].tolist()) == sorted(done)
    assert columns["replay"].tolist() == [int(s in replayed) for s in columns["slot"]]
    assert columns["top"].tolist() == [max(int(p.max()) for p in held[s] if len(p)) for s in columns["slot"]]
    latency = block.component.slots.latency
    assert (got.cycles >= np.array([done[s] for s in columns["slot"].tolist()]) + latency).all()
    # Of those complete at the same time any may be first, but none waits while nothing comes.
    expected = 0
    for at, cycle in zip(sorted(done.values()), got.cycles.tolist(), strict=True):
        expected = max(at + latency, expected + 1)
        assert cycle == expected if prompt else cycle >= expected


def check_stored(block: Block, rng: np.random.Generator, c: SpAttenConfig, held: dict[int, list[np.ndarray]]) -> None:
    """Every score of every slot, read in any order."""
    wanted = [(slot, row) for slot, parts in held.items() for row in range(max(len(p) for p in parts))]
    wanted = [wanted[at] for at in rng.permutation(len(wanted))]
    block.receive("scores")
    block.send("reads", [slot << c.row_bits | row for slot, row in wanted])
    block.run(len(wanted) + 10, scores=len(wanted))
    got = block.taken("scores").columns()["row"]
    for have, (slot, row) in zip(got, wanted, strict=True):
        for part, scores in enumerate(held[slot]):
            assert row >= len(scores) or have[part] == scores[row], (slot, row, part)
