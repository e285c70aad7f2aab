"""Slots: each holds one position, what is dropped makes room, memory stays as it is."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from spatten_hw.sim.models.eviction.policy import EVICTIONS
from spatten_hw.sim.models.eviction.slots import Slots
from tests.seeds import numbers


def run(name, prompt, budget, steps, sequences=2, heads=3):
    """Slots after random importance, and the positions that each step saw."""
    rng = numbers("slots", name, prompt)
    slots = Slots(EVICTIONS[name], budget)
    slots.fill(rng.random((sequences, heads, prompt)))
    seen = []
    for _ in range(steps):
        slots.take()
        seen.append(slots.positions.copy())
        slots.settle(rng.random(slots.positions.shape))
    return slots, seen


@pytest.mark.parametrize("name", EVICTIONS)
@pytest.mark.parametrize("prompt", [30, 60])
def test_positions_are_distinct_and_the_newest_is_there(name, prompt):
    budget = 45
    slots, seen = run(name, prompt, budget, 40)
    fixed = EVICTIONS[name].steps != "grow"
    assert slots.tokens == (budget + 1 if fixed else min(prompt, budget) + 40)
    for step, positions in enumerate(seen):
        assert all(len(set(p)) == len(p) for p in positions.reshape(-1, positions.shape[-1]).tolist())
        assert (positions == prompt + step).any(axis=-1).all()


def test_streaming_is_a_window():
    _, seen = run("streaming", 20, 10, 30)
    assert sorted(seen[-1][0, 0].tolist()) == [0, 1, 2, 3, *range(43, 50)]


def test_what_is_dropped_never_comes_back():
    _, seen = run("h2o", 60, 45, 60)
    for before, after in pairwise(seen):
        assert set(after[1, 2].tolist()) - set(before[1, 2].tolist()) <= {int(after.max())}


def test_the_one_with_most_votes_goes():
    slots = Slots(replace(EVICTIONS["veda"], first=0), 3)
    slots.fill(np.zeros((1, 1, 3)))
    for given, votes, free in (([9, 1, 1, 1], [0, -1, -1, -1], 2), ([0, 1, 9, 1], [-1, -2, 0, -2], 3)):
        slots.take()
        slots.settle(np.array([[given]], dtype=np.float64))
        assert slots.importance.tolist() == [[votes]] and slots.where.tolist() == [[free]]


def test_sums_go_on_and_last_queries_forget():
    for name, expected in (("h2o", [3.0, 3.0]), ("tova", [2.0, 2.0])):
        slots = Slots(EVICTIONS[name], 8)
        slots.fill(np.ones((1, 1, 2)))
        slots.take()
        slots.settle(np.array([[[2.0, 2.0, 1.0]]]))
        assert slots.importance[0, 0, :2].tolist() == expected
        assert slots.where.tolist() == [[3]]


def test_the_slot_of_a_new_token_forgets_the_one_before():
    slots = Slots(EVICTIONS["spatten-llm"], 40)
    slots.fill(np.full((1, 1, 40), 5.0))
    slots.take()
    slots.settle(np.full((1, 1, 41), 1.0))
    where = int(slots.take()[0, 0])
    assert slots.importance[0, 0, where] == 0 and slots.positions[0, 0, where] == 41
