"""The bench of the language model on a tiny Llama: against its dense pass, a session, and itself in other parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatten_hw.sim.evaluate.language import LanguageBench
from spatten_hw.sim.evaluate.point import UNROTATED, Point
from spatten_hw.sim.evaluate.rtl import STEPS, SpotCheck
from spatten_hw.sim.golden import batch
from spatten_hw.sim.models.decoder.attention import integer_attention
from spatten_hw.sim.models.decoder.session import Session
from spatten_hw.sim.models.engines import GoldenEngine
from spatten_hw.sim.models.eviction.policy import EVICTIONS
from spatten_hw.sim.models.gpt.perplexity import cross_entropy
from spatten_hw.sim.models.llama.model import random_llama
from tests.integration.builds import QUAD

WINDOWS, TOKENS, PROMPT = 3, 56, 44
EXACT = Point("smollm2", None)
BITS = Point("smollm2", (8, 0), q_bits=12, v_bits=(6, 0), k_scale="pair", v_scale="channel")
RULES = replace(BITS, bits=(4, 4), threshold=0.9, lsb_margin=0.5, keep_mass=0.7, give_back=True)


@pytest.fixture(scope="module")
def bench():
    model = random_llama(3, layers=2, heads=2, kv_heads=1, dim=16, context=64, vocabulary=40)
    ids = np.random.default_rng(5).integers(0, 40, (WINDOWS, TOKENS + 1))
    return LanguageBench(model, QUAD, ids, PROMPT)


def losses(bench, point):
    return bench.losses(point, bench.scaled(point, bench.attention(point)))


def test_float_without_pruning_is_the_model(bench):
    dense = np.stack([cross_entropy(bench.model.forward(ids[:-1]), ids[1:]) for ids in bench.windows])
    assert np.max(np.abs(losses(bench, EXACT) - dense[:, PROMPT:])) < 1e-3


@pytest.mark.parametrize("scale", ["head", "channel", "pair", UNROTATED])
def test_many_bits_are_close_to_float_with_any_scale(bench, scale):
    exact = losses(bench, EXACT)
    fine, coarse = (np.abs(losses(bench, replace(BITS, bits=(bits, 0), v_bits=(12, 0), k_scale=scale)) - exact).mean()
                    for bits in (10, 4))
    # V of the steps may be clipped: it has no headroom.
    assert fine < 0.14 and coarse > 4 * fine, (fine, coarse)


@pytest.mark.parametrize("point", [BITS, RULES], ids=["static", "rules"])
def test_is_a_session(bench, point):
    """What the bench gives for a window alone, chat's session gives: the same jobs, one after the other."""
    for window in bench.windows[:2]:
        one = LanguageBench(bench.model, QUAD, window[None], PROMPT)
        model = replace(bench.model)
        model.calibrate(window[:PROMPT])
        session = Session(model, QUAD, point.decoder_settings, integer_attention(GoldenEngine(QUAD)))
        got = [session.prompt(tuple(window[:PROMPT].tolist()))]
        got += [session.step(int(token)) for token in window[PROMPT:-1]]
        # The prompt's last logits predict a token that the bench leaves to the prompt.
        expected = cross_entropy(np.stack(got[1:]), window[PROMPT + 1:])
        assert np.allclose(losses(one, replace(point, prompt_here=True))[0], expected, atol=0.02)


def test_a_prompt_elsewhere_is_a_prompt_here_in_float(bench):
    """Importance too: cascades and policies choose the same tokens."""
    pruned = replace(EXACT, keep_tokens=(0.5, 0.5), front_tokens=0.0, protect_last=4)
    evicted = [replace(EXACT, evict=name, cache=38) for name in EVICTIONS if name != "pyramidkv"]
    for point in (EXACT, pruned, *evicted):
        here = replace(point, prompt_here=True)
        assert np.allclose(losses(bench, point), losses(bench, here), atol=1e-4), point.label


def test_spot_check_agrees(bench):
    """Steps on a prompt computed elsewhere, and a prompt here."""
    for point, layers in ((RULES, STEPS), (replace(RULES, prompt_here=True), 1 + STEPS)):
        check = SpotCheck(GoldenEngine(QUAD))
        check.smollm2(bench, point, 2)
        assert check.layers == 2 * 2 * layers and check.mismatches == []


def test_windows_do_not_mix(bench):
    together = losses(bench, RULES)
    again = LanguageBench(bench.model, QUAD, bench.windows[::-1].copy(), PROMPT)
    assert np.allclose(losses(again, RULES)[::-1], together, atol=1e-6)


def test_windows_in_batches_are_all_windows(bench, monkeypatch):
    """Losses, costs and tokens held of batches add up; in integers scales of Q are those of a batch."""
    whole, bits = bench.measure(EXACT), bench.measure(BITS)
    monkeypatch.setattr(LanguageBench, "together", 2)
    parts, cut = bench.measure(EXACT), bench.measure(BITS)
    assert np.allclose(parts["by_window"], whole["by_window"], atol=1e-5)
    assert parts["predictions"] == whole["predictions"] == WINDOWS * (TOKENS - PROMPT) and parts["held"] == 1.0
    assert cut["bytes"] == bits["bytes"] and cut["queries"] == bits["queries"]
    assert cut["perplexity"] == pytest.approx(bits["perplexity"], rel=0.01)


def test_pieces_give_the_same(bench, monkeypatch):
    whole = losses(bench, RULES)
    monkeypatch.setattr(batch, "LARGEST", 1)
    assert np.array_equal(losses(bench, RULES), whole)


@pytest.mark.parametrize("exact", [True, False], ids=["float", "golden"])
def test_a_cache_for_all_drops_nothing(bench, exact):
    point = EXACT if exact else BITS
    everyone = losses(bench, point)
    for name in EVICTIONS:
        assert np.allclose(losses(bench, replace(point, evict=name, cache=TOKENS)), everyone, atol=1e-9), name


def test_policies_drop_different_tokens_and_move_fewer_bytes(bench):
    whole = bench.measure(BITS)
    seen = set()
    for name in EVICTIONS:
        if name == "pyramidkv":
            continue                                # its prompts here are shorter than what it protects
        cache = 38
        result = bench.measure(replace(BITS, evict=name, cache=cache))
        fixed = EVICTIONS[name].steps != "grow"
        held = sum((cache + 1 if fixed else cache + step) for step in range(1, 1 + TOKENS - PROMPT))
        assert result["held"] == pytest.approx(held / sum(range(PROMPT + 1, TOKENS + 1)))
        assert result["bytes"]["k_msb"] == WINDOWS * 2 * held * 16
        assert result["macs"]["scores"] < whole["macs"]["scores"]
        seen.add(round(result["cross_entropy"], 6))
    assert len(seen) == len(EVICTIONS) - 1
