"""Walker: every work item once and in order, slots and items never twice; gangs, second passes, LSBs, rates."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.meta import MetaStage
from spatten_hw.control.walker import Walker
from spatten_hw.sim.harness.block import Block
from tests.seeds import numbers

from .layer_world import LayerWorld, ahead, random_layer

BASE = SpAttenConfig(multipliers=32, chunk=8, max_dim=24, max_tokens=32, sram_tokens=16, max_heads=8, max_group=3,
                     slots=8, topk_lanes=4, channels=2, axi_data_bits=64)
CONFIGS = {
    "two channels": BASE,
    "one slice": BASE.replace(multipliers=4, chunk=4, max_dim=4, channels=1, slots=2, max_group=2, max_heads=3),
    # Up to 128 rows in a walk.
    "long": BASE.replace(multipliers=4, chunk=4, max_dim=4, channels=1, max_tokens=128, slots=32, max_heads=24,
                         max_group=1, topk_lanes=1),
    "queries": BASE.replace(max_group=6, chunk_queries=1),
    "queries of one slice": BASE.replace(multipliers=4, chunk=4, max_dim=4, channels=1, slots=4, max_group=4,
                                         max_heads=4, chunk_queries=1),
    # Fewer bits for heads than for slices.
    "one head": BASE.replace(multipliers=64, topk_lanes=8, max_heads=1, max_group=1, slots=4),
}


@cache
def built(name: str) -> Block:
    return Block(Walker, CONFIGS[name])


def walker(name: str) -> Block:
    block = built(name)
    block.reset()
    return block


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_item_once_in_order(name, stall):
    rng, block = numbers("walker", name, stall), walker(name)
    flats = {0: 0, 1: 0}
    for generate in (0, 1):
        for k_lsb in (0, *[4] * 19):
            world = LayerWorld(block, rng, random_layer(rng, CONFIGS[name], generate=generate, k_lsb=k_lsb))
            world.run(stall)
            flats[generate] += world.flats
    assert min(flats.values()) > 0


@pytest.mark.parametrize("flat", [0.0, 1.0])
def test_none_and_all_queries_are_flat(flat):
    rng, block = numbers("walker flat", flat), walker("two channels")
    for generate in (0, 1):
        j = random_layer(rng, block.component.config, generate=generate, k_lsb=4, flat=flat)
        world = LayerWorld(block, rng, j)
        world.run()
        assert world.flats == (len(j.heads) * j.group * (1 if generate else len(j.ids)) if flat else 0)


def test_items_of_a_prompt_follow_one_another():
    """With slots free, one item per cycle; `meta` 2 cycles behind, commands one."""
    block = walker("two channels")
    c = block.component.config
    block.reset()
    rng = numbers("walker prompt rate")
    j = random_layer(rng, c, generate=0, group=1, k_lsb=0)
    j.heads, j.ids = [2], list(range(0, 3 * c.slots, 3))
    world = LayerWorld(block, rng, j, busy=0.999)
    world.run()
    metas, q, scores = (block.taken(name).cycles for name in ("meta", "q_cmd", "score_cmd"))
    assert np.array_equal(metas, metas[0] + np.arange(c.slots))
    assert np.array_equal(q, metas - MetaStage.LATENCY + 1) and np.array_equal(scores, q)


def test_a_gang_takes_three_cycles_more_than_it_has_members():
    block = walker("two channels")
    c = block.component.config
    for group in range(1, c.max_group + 1):
        block.reset()
        rng = numbers("walker gang rate")
        j = random_layer(rng, c, generate=1, group=group, k_lsb=0)
        j.heads = [0, 1]
        world = LayerWorld(block, rng, j, busy=0.999, walk_cycles=1)
        world.run()
        metas, walks = block.taken("meta").cycles, block.taken("k_walk").cycles
        assert metas[group] - metas[0] == group + 3 == walks[1] - walks[0]


@pytest.mark.parametrize("rows", [63, 64, 127, 128])
def test_few_walks_wait_where_they_are_long(rows):
    """So that K does not run ahead of all that follows it, and a walk for LSBs soon has its turn."""
    block = walker("long")
    c = block.component.config
    rng = numbers("walker ahead")
    j = random_layer(rng, c, generate=1, group=1, k_lsb=0)
    j.heads, j.ids = list(range(c.max_heads)), list(range(rows))
    world = LayerWorld(block, rng, j, walk_cycles=rows)
    world.run()
    assert world.most_running == ahead(rows)


def test_a_gang_waits_for_all_its_slots_alone():
    """More gangs than slots: an item goes out as soon as its number is free again, with the one before given back."""
    block = walker("one slice")
    c = block.component.config
    rng = numbers("walker slots")
    j = random_layer(rng, c, generate=1, group=1, k_lsb=0)
    j.heads = list(range(c.max_heads))
    world = LayerWorld(block, rng, j, busy=0.05)
    world.run()
    assert len(world.metas) == len(j.heads) > c.slots
