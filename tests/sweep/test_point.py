"""Points: fields that contradict each other are refused and say why; the others become tasks."""

import dataclasses

import pytest

from spatten_hw.host.rules import Rules
from spatten_hw.presets import EIGHTH, SMALL
from spatten_hw.sim.bench.cases import standard_cases
from spatten_hw.sim.sweep.area import AreaChoice
from spatten_hw.sim.sweep.file import Sweep
from spatten_hw.sim.sweep.layer import Layer
from spatten_hw.sim.sweep.point import settle


def settled(tmp_path, measure=("model",), **sections):
    values = {"config": {"preset": "eighth"}, "workload": {"case": "generate-102"}, "policy": {}, "memory": {}}
    sweep = Sweep(tmp_path / "s.toml", "s", measure, {}, 0, 1, AreaChoice("law"), ())
    return settle(0, values | sections, sweep)


REFUSED = {
    "breaks rules": ({"config": {"preset": "eighth", "channels": 3}}, "channels = 3: must be a power of two"),
    "two rules": ({"config": {"multipliers": 8, "slots": 3}}, "; multipliers = 8: must give every channel a slice"),
    "not of this build": ({"config": {"preset": "small"}, "workload": {"case": "generate-1000"}},
                          "case generate-1000: is not one of this build's, which has summarise-384-all"),
    "too long": ({"workload": {"tokens": 2000}}, "needs max_tokens of 2000, the build has 1024"),
    "prompt too long": ({"workload": {"tokens": 600, "generate": False},
                         "config": {"preset": "eighth", "sram_tokens": 512}}, "needs sram_tokens of 600"),
    "dim": ({"workload": {"tokens": 60, "dim": 48}}, "needs dims of 48, the build has 32, 64"),
    "heads": ({"workload": {"tokens": 60, "heads": 9, "group": 2}}, "must be a multiple of group = 2"),
    "causal": ({"workload": {"tokens": 60, "causal": True}}, "is of prompts"),
    "no LSBs": ({"policy": {"bits": (8, 0), "flat": 0.3}}, "K has no LSBs to take"),
    "by key, no LSBs": ({"policy": {"bits": (8, 0), "lsb_margin": 3.0}}, "is given, but K has no LSBs"),
    "rules": ({"config": {"preset": "small"}, "policy": {"keep_mass": 0.9}}, "needs decision_rules of 1"),
    "too wide": ({"policy": {"bits": (10, 4)}}, "needs operand_bits of 14, the build has 12"),
    "twice": ({"policy": {"bits": (8, 0), "k_bits": (8, 0)}}, "say two things of the same"),
    "latency": ({"memory": {"name": "hbm2", "latency": 9}}, "is of perfect memory, hbm2 has timing of its own"),
    "model's latency": ({"memory": {"latency": 100}}, "the model is of 8 cycles alone"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    sections, why = REFUSED[name]
    point = settled(tmp_path, **sections)
    assert why in point.refused["model"] and not point.tasks


def test_one_measurement_may_be_refused_and_others_not(tmp_path):
    point = settled(tmp_path, ("model", "rtl", "area"), workload={"tokens": 64, "generate": False},
                    policy={"bits": (6, 4), "flat": 0.5})
    assert set(point.tasks) == {"model", "area"} and "0 or 1 alone" in point.refused["rtl"]
    point = settled(tmp_path, ("model", "rtl"), memory={"latency": 100})
    assert set(point.tasks) == {"rtl"} and set(point.refused) == {"model"}


def test_requests_have_a_policy_of_their_own(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    workload = {"requests": "a.csv"}
    assert "a policy of their own" in settled(tmp_path, workload=workload, policy={"keep": 0.5}).refused["model"]
    assert "heads = 40: the build has" in settled(tmp_path, workload=workload | {"heads": 40}).refused["model"]
    task = settled(tmp_path, workload=workload).tasks["model"]
    assert task.work.name == "a" and task.work.heads == EIGHTH.max_heads


@pytest.mark.parametrize("config", [SMALL, EIGHTH], ids=lambda c: c.name)
def test_cases_are_those_of_the_bench(config):
    """Operands and jobs of a case are the bench's, byte for byte."""
    for case in standard_cases(config, quick=True):
        layer, heads = Layer.of_case(case, config), case.heads
        ours, theirs = layer.plan(config, heads), case.plan(config, heads)
        assert layer.head_counts(config) == case.head_counts(config)
        for a, b in zip(ours.passes, theirs.passes, strict=True):
            # Values beyond those that are alive are not kept anyway.
            same = dataclasses.replace(b.job, keep_values=min(b.job.keep_values, layer.alive))
            assert a.job == same and (a.q == b.q).all() and (a.k == b.k).all() and (a.v == b.v).all()


def test_policy_changes_a_case(tmp_path):
    work = settled(tmp_path, policy={"alive": 0.5, "keep": 0.1, "bits": (4, 4), "lsb_margin": 2.0, "give_back": True,
                                     "flat": 1.0}).tasks["model"].work
    assert (work.tokens, work.alive, work.keep, work.k_bits, work.flat) == (102, 51, 5, (4, 4), 1.0)
    assert work.rules == Rules(lsb_margin=2.0, give_back=True)


def test_keys_say_all_that_results_depend_on(tmp_path):
    def key(**sections):
        return settled(tmp_path, ("rtl",), **sections).tasks["rtl"].key

    same = key()
    assert key(config={"preset": "eighth", "channels": 2}) == same  # as the preset has it
    others = [key(config={"preset": "eighth", "slots": 32}), key(workload={"case": "summarise-128"}),
              key(policy={"keep": 0.5}), key(memory={"name": "hbm2"}), key(memory={"latency": 9})]
    assert len({same, *others}) == 6
    # Cycles on perfect memory are the same at any clock.
    assert key(memory={"clock": 2.0}) == same
