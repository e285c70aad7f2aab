"""The cycle model of slices: the figures the design rests on, and what must hold whatever the draw."""

import pytest

from spatten_hw.sim.perf.balance import FIGURES, FULLEST, TOLERANCE, fullest
from spatten_hw.sim.perf.cases import Case, generation
from spatten_hw.sim.perf.generation import Generation
from spatten_hw.sim.perf.layer import Layer
from spatten_hw.sim.perf.machine import FULL, HBM, PRESETS, Latencies, Machine
from spatten_hw.sim.perf.prompt import Prompt


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f"{f.tokens}-{f.heads}")
def test_balance(figure):
    assert figure.modelled(seeds=2) == pytest.approx(figure.stated, rel=TOLERANCE)


@pytest.mark.parametrize("turned", FULLEST)
def test_fullest_channel(turned):
    assert fullest(turned, seeds=100) == pytest.approx(FULLEST[turned], rel=0.03)


def test_head_in_the_channel_number_pays():
    layer = generation(102, 20, 24, 64)
    straight, turned = (Generation(layer, FULL.replace(turned=t)).run().cycles for t in (False, True))
    assert straight > 1.2 * turned


@pytest.mark.parametrize("machine", [*PRESETS.values(), FULL.replace(**HBM), FULL.replace(slices=32, topk_lanes=32)],
                         ids=lambda m: f"{m.name}-{m.slices}-{m.memory_latency}")
@pytest.mark.parametrize("first", ["key", "value", "oldest", "tail"])
def test_every_row_is_read_once(machine: Machine, first: str):
    layer = Layer(60, 11, 12, min(64, machine.max_dim), bits=6, lsb_bits=4, flat=0.3, group=3, context=200)
    rows_once(layer, machine.replace(first=first))


@pytest.mark.parametrize("machine", [*PRESETS.values(), FULL.replace(latencies=Latencies(skip=True))],
                         ids=lambda m: f"{m.name}-{m.latencies.skip}")
def test_rules_read_rows_of_their_lists_once(machine: Machine):
    layer = Layer(60, 11, 12, min(64, machine.max_dim), bits=6, lsb_bits=4, flat=0.3, group=3, near=0.1, uneven=0.4)
    rows_once(layer, machine)
    rows_once(layer.replace(static_values=True), machine)


def rows_once(layer: Layer, machine: Machine):
    run = Generation(layer, machine, seed=5)
    result = run.run()
    flat, values = sum(bool(g.flat) for g in run.work), [r for g in run.work for row in g.values for r in row]
    beats = (12 * machine.beats(layer.dim, 12) + 60 * 4 * machine.beats(layer.dim, 6)
             + sum(g.replayed_keys for g in run.work if g.flat) * machine.beats(layer.dim, 4)
             + len(values) * machine.beats(layer.dim, 6)
             + (not layer.static_values) * sum(bool(r[2]) for r in values) * machine.beats(layer.dim, 4))
    assert all(6 <= g.replayed_keys < 20 if layer.near else g.replayed_keys == 60 for g in run.work)
    assert flat and sum(c.beats for c in run.channels) == beats
    assert result.cycles > result.bound
    assert run.slots.back == run.slots.taken == run.items.back == run.items.taken == 12
    assert not run.sums.taken - run.sums.back


def test_rules_pay():
    """LSBs of 8 % of the keys instead of all, and a tenth of the values."""
    dense = Layer(1000, heads=12, group=3, bits=4, lsb_bits=4, flat=1.0, static_values=True)
    paper, by_key, both = (Generation(layer, FULL).run() for layer in (
        dense, dense.replace(near=0.08), dense.replace(near=0.08, keep=100, uneven=0.5)))
    assert both.cycles < 0.85 * by_key.cycles and by_key.cycles < 0.9 * paper.cycles
    assert both.bounds["bytes"] < 0.7 * by_key.bounds["bytes"] and by_key.bounds["bytes"] < 0.8 * paper.bounds["bytes"]
    # In four bits and for three members the multipliers bind; alone, the two chunks that a beat has.
    assert both.binds == by_key.binds == "Q×K"
    assert Generation(dense.replace(group=1, near=0.08), FULL).run().binds == "steps"


def test_small_rings_only_slow_it_down():
    layer = generation(102, 20, 24, 64)
    cycles = [Generation(layer, FULL.replace(slots=s, items=2 * s, sums=s, key_queue=k, pool_beats=8)).run().cycles
              for s, k in ((1, 1), (4, 8), (16, 64))]
    assert cycles == sorted(cycles, reverse=True)


def test_prompts_are_bound_by_multipliers():
    for layer in (Layer(384, dim=64, bits=12, heads=3), Layer(200, 40, dim=64, bits=12, heads=3, causal=True)):
        assert 1 < Prompt(layer, FULL).run().ratio < 1.3
    grouped, flat = Layer(64, heads=6, group=3, bits=8), Layer(64, heads=6, group=3, bits=8, lsb_bits=4, flat=1.0)
    assert Prompt(flat, FULL).run().bounds["Q×K"] == 2 * Prompt(grouped, FULL).run().bounds["Q×K"]


def test_steady_state_is_near_the_bytes():
    case = Case("", generation(204, 40, 48, 64), before=24)
    assert 0.95 < case.run(FULL.replace(first="tail"), 1).ratio < 1.05
