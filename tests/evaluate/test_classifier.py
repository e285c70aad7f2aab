"""The bench of the classifier on a tiny model: against its float pass, by what points change, on golden engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.presets import EIGHTH, FULL
from spatten_hw.sim.evaluate.classifier import ClassifierBench
from spatten_hw.sim.evaluate.grid import default_grid, unique
from spatten_hw.sim.evaluate.point import Point, PointError
from spatten_hw.sim.evaluate.rtl import SpotCheck
from spatten_hw.sim.models.encoder import Tokens
from spatten_hw.sim.models.engines import GoldenEngine, HardwareEngine
from spatten_hw.sim.models.nanoguard.model import NanoGuard
from tests.integration.builds import QUAD, transport
from tests.models.nanoguard.tiny import tiny_model

from .wrong import WrongEngine

RNG = np.random.default_rng(4)
LENGTHS = (5, 17, 30, 11, 24, 8, 20, 13)
TEXTS = [Tokens((300, *map(int, RNG.integers(0, 256, n - 1))), ("x",) * n) for n in LENGTHS]
TRUTH = [n % 3 > 0 for n in range(len(TEXTS))]
BITS = Point("classifier", (12, 0))
HARD = Point("classifier", (6, 4), threshold=0.3, keep_tokens=(0.8, 0.5), keep_heads=(1.0, 0.5), keep_values=0.5,
             front_tokens=0.0, front_heads=0.0)


@pytest.fixture(scope="module")
def bench():
    return ClassifierBench(tiny_model(), QUAD, TEXTS, TRUTH)


def test_float_is_the_model(bench):
    logits = np.stack([bench.model.encode(t) for t in TEXTS])
    result = bench.measure(Point("classifier", None))
    assert result["accuracy"] == np.mean((logits[:, 1] >= logits[:, 0]) == TRUTH) and result["texts"] == len(TEXTS)
    assert (result["loss"], result["flips"], result["logit_error"]) == (0, 0, 0) and "byte_ratio" not in result


def test_verdicts_and_logits_are_compared_with_float(bench):
    """Logits of which the second, sixth and last text's verdicts are turned, one of them rightly so."""
    outputs = bench.floats.copy()
    turned = [1, 5, 7]
    outputs[turned] = outputs[turned][:, ::-1]
    right = (bench.floats[:, 1] >= bench.floats[:, 0]) == bench.truth
    result = bench.accuracy(outputs)
    assert result["flips"] == 3 and result["loss"] == pytest.approx((2 * right[turned].sum() - 3) / len(TEXTS))
    margin = bench.floats[:, 1].astype(float) - bench.floats[:, 0]
    assert result["logit_error"] == pytest.approx(2 * np.abs(margin[turned]).sum() / len(TEXTS))
    low, high = result["loss_interval"]
    assert low <= result["loss"] <= high and low < high


def test_many_bits_are_close_to_float(bench):
    errors = [bench.measure(replace(BITS, bits=(bits, 0)))["logit_error"] for bits in (12, 8, 4)]
    assert errors[0] < 0.02 and errors[0] < errors[1] / 3 < errors[2] / 9, errors


def test_large_values_fit_the_outputs():
    """V of the packaged model reaches 49, three times what the sentence encoder's output unit holds."""
    model = tiny_model()
    weights = {name: x * np.float32(8) if name.endswith("c_v.weight") else x / np.float32(8)
               if name.endswith("attn.c_proj.weight") else x for name, x in model.weights.items()}
    large = ClassifierBench(NanoGuard(model.architecture, weights), QUAD, TEXTS, TRUTH)
    values = max(np.abs(large.model.project(0, large.model.embed(t), np.arange(len(t)))[2]).max() for t in TEXTS)
    assert 30 < values < 64, values
    assert large.measure(BITS)["logit_error"] < 0.05


def test_pruning_changes_verdicts_and_saves(bench):
    dense = bench.measure(BITS)
    assert dense["mac_ratio"] == 1 and 1 < dense["byte_ratio"] < 1.5
    for name, saved in (("keep_tokens", "bytes"), ("keep_heads", "bytes"), ("keep_values", "macs")):
        kept = 0.5 if name == "keep_values" else (0.5, 0.5)
        pruned = bench.measure(replace(BITS, front_tokens=0.0, front_heads=0.0, **{name: kept}))
        ratio = "byte_ratio" if saved == "bytes" else "mac_ratio"
        assert pruned[ratio] < dense[ratio] and pruned["logit_error"] > 5 * dense["logit_error"], name


def test_dropped_tokens_may_stay_in_the_mean(bench):
    pruned = replace(BITS, keep_tokens=(0.5, 0.5), front_tokens=0.0)
    out, pooled = (bench.measure(p) for p in (pruned, replace(pruned, pool_dropped=True)))
    assert out["total_bytes"] == pooled["total_bytes"] and out["logit_error"] != pooled["logit_error"]


def test_the_first_token_is_protected_and_the_last_one_is_not(bench):
    """Every text begins with the same special token and ends with one of its own."""
    survivors, engine = [], GoldenEngine(QUAD)

    def watched(task):
        job = task.layer_pass.job
        assert (job.protect_first, job.protect_last) == (1, 0)
        return engine(task)

    encoder = bench.pruned(replace(BITS, keep_tokens=(0.01, 0.01), front_tokens=0.0))
    for tokens in TEXTS:
        survivors.append(encoder.encode(tokens, watched).layers[-1].tokens)
    assert all(alive[0] == 0 and len(alive) == 2 for alive in survivors)
    assert any(len(tokens) - 1 not in alive for tokens, alive in zip(TEXTS, survivors, strict=True))


def test_spot_check_agrees(bench):
    check = SpotCheck(GoldenEngine(QUAD))
    check.classifier(bench, HARD, 2)
    assert check.layers == 4 and check.mismatches == []


def test_spot_check_on_the_verilog(bench):
    with transport(QUAD) as simulated:
        check = SpotCheck(HardwareEngine(QUAD, simulated))
        check.classifier(bench, HARD, 1)
    assert check.layers == 2 and check.cycles > 0 and check.mismatches == []


def test_spot_check_notices_a_difference(bench):
    check = SpotCheck(WrongEngine(QUAD))
    check.classifier(bench, BITS, 1)
    assert any("outputs differ" in line for line in check.mismatches)


def test_builds_that_are_too_small():
    for config, message in ((QUAD.replace(max_dim=8), "the classifier needs max_dim ≥ 16"),
                            (QUAD.replace(max_tokens=16, sram_tokens=16), "the text has 17 tokens, at most 16")):
        with pytest.raises(UserError, match=message):
            ClassifierBench(tiny_model(), config, TEXTS, TRUTH)


def test_the_grids():
    """Heads are quarters; what a quick one has, the other one has or has in its place."""
    every, quick = (unique(default_grid("classifier", quick=quick)) for quick in (False, True))
    for point in (*every, *quick):
        point.check(FULL)
    assert {p.keep_heads[1] for p in every} == {1.0, 0.75, 0.5}
    assert {p.bits[0] for p in every if not p.bits[1] and not p.prunes} == {4, 6, 8, 10, 12}
    assert {p.bits for p in every if p.bits[1] and p.threshold == 0.1} >= {(4, 4), (6, 4), (8, 4)}
    assert any(p.keep_tokens != (1.0, 1.0) for p in every) and any(p.keep_values < 1 for p in every)
    assert len(quick) < len(every) / 2 and len({p.label for p in every}) == len(every)


def test_what_it_does_not_have():
    for fields, message in (({"lsb_margin": 1.0, "bits": (4, 4)}, "the classifier has no steps of generation"),
                            ({"evict": "h2o"}, "the classifier does not have it"),
                            ({"bits": None, "keep_tokens": (0.5, 0.5)}, "the classifier prunes in integers alone")):
        with pytest.raises(PointError, match=message):
            Point("classifier", **fields).check(EIGHTH)
