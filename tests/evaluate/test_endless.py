"""Text without end: all steps of a layer at once are what a session does one after the other, and drift is a slope."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.evaluate import endless_steps
from spatten_hw.sim.evaluate.endless import EndlessBench, fresh_losses
from spatten_hw.sim.evaluate.point import UNROTATED, Point
from spatten_hw.sim.evaluate.spread import BLOCK, blocks_of, drift
from spatten_hw.sim.evaluate.tally import Tally
from spatten_hw.sim.models.decoder.attention import FloatAttention, integer_attention
from spatten_hw.sim.models.engines import GoldenEngine
from spatten_hw.sim.models.eviction.policy import EVICTIONS
from spatten_hw.sim.models.eviction.session import EvictingSession
from spatten_hw.sim.models.gpt.perplexity import cross_entropy
from spatten_hw.sim.models.llama.model import random_llama
from tests.integration.builds import QUAD

PROMPT, STEPS, CACHE = 24, 60, 20
EXACT = Point("smollm2", None, evict="streaming", cache=CACHE)
RULES = replace(EXACT, bits=(4, 4), q_bits=12, v_bits=(6, 0), k_scale="pair", v_scale="channel", threshold=0.9,
                lsb_margin=0.5, keep_mass=0.7, give_back=True)
FINE = replace(EXACT, bits=(12, 0), v_bits=(12, 0), k_scale="pair", v_scale="channel")


@pytest.fixture(scope="module")
def bench():
    model = random_llama(3, layers=2, heads=2, kv_heads=1, dim=16, context=64, vocabulary=40)
    return EndlessBench(model, QUAD, np.random.default_rng(5).integers(0, 40, (2, PROMPT + STEPS + 1)), PROMPT)


@pytest.mark.parametrize("point", [EXACT, FINE], ids=["float", "golden"])
def test_is_a_session(bench, point, monkeypatch):
    """The window has moved by twice its length at the end, so the first keys have been turned for most of the steps."""
    monkeypatch.setattr(endless_steps, "TOGETHER", 7)
    for window in range(2):
        ids = bench.windows[window]
        model = replace(bench.model)
        model.calibrate(ids[:PROMPT])
        engine = FloatAttention() if point.bits is None else integer_attention(GoldenEngine(QUAD))
        session = EvictingSession(model, QUAD, point.decoder_settings, engine, EVICTIONS["streaming"], CACHE, STEPS)
        session.prompt(tuple(ids[:PROMPT].tolist()))
        expected = cross_entropy(np.stack([session.step(int(token)) for token in ids[PROMPT:-1]]), ids[PROMPT + 1:])
        tallies = {} if point.bits is None else {"prompt": Tally(), "steps": Tally()}
        got, right = bench.window(window, point, tallies)
        if point.bits is None:
            assert np.allclose(got, expected, atol=1e-4)
        else:
            # The session's prompt is in integers, too, and its scales are rounded at other places.
            assert np.abs(got - expected).mean() < 0.02
        assert right.dtype == bool and len(right) == STEPS


def test_costs_do_not_grow_with_the_text(bench):
    """Every step reads a full cache, as long as the first."""
    short = replace_windows(bench, STEPS // 2)
    ours, half = (of.measure(RULES)["bytes"]["k_msb"] for of in (bench, short))
    assert ours == 2 * half == 2 * 2 * STEPS * (CACHE + 1) * 8


def replace_windows(bench, steps):
    return EndlessBench(bench.model, QUAD, bench.windows[:, :PROMPT + steps + 1], PROMPT)


def test_the_reference_is_the_dense_model(bench):
    ids = bench.windows[0]
    dense = cross_entropy(bench.model.forward(ids[:2 * PROMPT]), ids[1:2 * PROMPT + 1])
    assert np.allclose(fresh_losses(bench.model, ids, PROMPT)[:PROMPT], dense[PROMPT:], atol=1e-4)
    assert fresh_losses(bench.model, ids, PROMPT).shape == (STEPS,)


def test_drift_is_the_slope_per_thousand_tokens():
    rng = np.random.default_rng(2)
    steps = np.arange(12 * BLOCK + 300)
    level, rising = (0.3 + slope * steps / 1000 + rng.normal(0, 0.5, (2, len(steps))) for slope in (0.0, 0.02))
    assert blocks_of(level).shape == (2, 13)
    for losses, wanted in ((level, 0.0), (rising, 0.02)):
        found, low, high = drift(blocks_of(losses)[:, 1:])
        assert low < wanted < high and abs(found - wanted) < 0.005 and high - low < 0.02


def test_what_cannot_go_on_for_ever(bench):
    with pytest.raises(UserError, match="by age"):
        bench.measure(replace(RULES, evict="h2o"))
    with pytest.raises(UserError, match="must fill it"):
        bench.measure(replace(RULES, cache=PROMPT + 1))
    for fields in ({"k_scale": UNROTATED, "bits": (8, 0), "lsb_margin": None}, {"prompt_here": True}):
        with pytest.raises(UserError, match="leave them out"):
            bench.measure(replace(RULES, **fields))
