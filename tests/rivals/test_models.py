"""Models of rivals against what is published of them."""

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.paper.numbers import paper
from spatten_hw.sim.rivals.benchmarks import benchmarks
from spatten_hw.sim.rivals.layers import Layers
from spatten_hw.sim.rivals.registry import DEFAULT, RIVALS
from spatten_hw.sim.rivals.rival import EIGHTH, FULL, Machine
from spatten_hw.sim.rivals.spatten import SpAtten, work_of

BERT = [b.layers for b in benchmarks() if not b.generates]
GPT2 = [b.layers for b in benchmarks() if b.generates]


def gops(name, layers):
    return float(np.mean([RIVALS[name].cost(one, EIGHTH).gops(one, EIGHTH) for one in layers]))


def test_a3_is_within_15_percent_of_the_papers_figure():
    assert gops("a3-base", BERT) == pytest.approx(paper("eighth.a3"), rel=0.15)


def test_a3_takes_a_cycle_per_key():
    """n + 9 per query, 320 keys of D = 64."""
    one = Layers.of(context=320, model_heads=1, dim=64)
    assert RIVALS["a3-base"].cost(one, EIGHTH).cycles[0] == 320 * 329


@pytest.mark.parametrize("name", [n for n in DEFAULT if n != "spatten"])
def test_none_passes_the_peak_of_what_it_does(name):
    for machine in (EIGHTH, FULL):
        for layers in (*BERT, *GPT2):
            cost = RIVALS[name].cost(layers, machine)
            assert cost.done_gops(machine) <= machine.peak_gops * 1.001
            assert (cost.bytes <= cost.cycles * machine.bytes_per_cycle * 1.001).all()


def test_only_ours_saves_bytes():
    for layers in GPT2:
        least = layers.dense(9).bytes.sum()
        assert all(RIVALS[n].cost(layers, FULL).bytes.sum() >= least for n in DEFAULT if n != "spatten")
        assert RIVALS["spatten"].cost(layers, FULL).bytes.sum() < least / 2


def test_dense_is_bound_by_arithmetic_or_memory():
    prompt = Layers.of(context=384, model_heads=12, dim=64)
    step = Layers.of(generate=1, context=384, model_heads=12, dim=64)
    cost = RIVALS["dense"].cost(prompt, EIGHTH)
    assert cost.cycles[0] == 12 * 384 * 384 * 64 * 2 / 128
    cost = RIVALS["dense"].cost(step, EIGHTH)
    assert cost.cycles[0] == pytest.approx((12 * 64 * (1 + 2 * 384) * 1.5 + 12 * 64 * 2) / 64)


def test_jobs_go_on_with_the_survivors_of_the_one_before():
    work = work_of(GPT2[0])
    assert not work.continues[0] and work.continues[1:12].all() and not work.continues[12]
    assert (work.prunes_tokens[12:24] == [1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]).all()


def test_ours_is_the_preset_of_the_machine():
    assert SpAtten().build(EIGHTH).name == "eighth" and SpAtten().build(FULL).name == "full"
    assert SpAtten().build(Machine(512, 256)).multipliers == 256
    with pytest.raises(UserError, match="no build has 100 multipliers"):
        SpAtten().build(Machine(100, 64))


def test_ours_takes_what_all_its_layers_take():
    cost = SpAtten().cost(BERT[0], FULL)
    assert len(cost.cycles) == 12 and cost.cycles.sum() > 0 and (cost.operations == BERT[0].operations).all()


def test_this_cpu_is_measured():
    pytest.importorskip("torch")
    one = Layers.of(generate=1, context=64, model_heads=[2, 2], dim=32)
    cost = RIVALS["cpu"].cost(one, EIGHTH)
    assert cost.cycles[0] == cost.cycles[1] > 0
