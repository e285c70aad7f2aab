"""A session whose caches drop tokens: the same as the bench, constant memory, text without end, the hardware."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.host.workload.fixed_schedule import FixedRatios
from spatten_hw.sim.evaluate.language import LanguageBench
from spatten_hw.sim.evaluate.point import Point
from spatten_hw.sim.models.decoder.attention import FloatAttention, integer_attention
from spatten_hw.sim.models.decoder.session import Session
from spatten_hw.sim.models.decoder.settings import DecoderSettings
from spatten_hw.sim.models.engines import GoldenEngine, HardwareEngine
from spatten_hw.sim.models.eviction.policy import EVICTIONS, Eviction
from spatten_hw.sim.models.eviction.session import EvictingSession
from spatten_hw.sim.models.gpt.perplexity import cross_entropy
from spatten_hw.sim.models.llama.model import causal_attention, random_llama
from tests.integration.builds import QUAD, transport

TOKENS, PROMPT, CACHE = 56, 44, 38
SETTINGS = DecoderSettings(12, (8, 0), (6, 0), schedule=FixedRatios())
#: One that has room for less than the prompt, and protects little.
SMALL = Eviction("", "sum", first=1, newest=2)


@pytest.fixture(scope="module")
def window():
    return np.random.default_rng(5).integers(0, 40, TOKENS + 1)


@pytest.fixture(scope="module")
def model(window):
    model = random_llama(3, layers=2, heads=4, kv_heads=2, dim=16, context=TOKENS, vocabulary=40)
    model.calibrate(window[:PROMPT])
    return model


def run(session, window, prompt=PROMPT, last=TOKENS):
    logits = [session.prompt(tuple(window[:prompt].tolist()))]
    return np.stack(logits + [session.step(int(token)) for token in window[prompt:last]])


def evicting(model, attention, name, cache=CACHE, settings=SETTINGS, steps=TOKENS - PROMPT):
    policy = EVICTIONS[name] if isinstance(name, str) else name
    return EvictingSession(model, QUAD, settings, attention, policy, cache, steps)


@pytest.mark.parametrize("name", [name for name in EVICTIONS if name not in ("pyramidkv", "streaming")])
def test_is_the_bench(model, window, name):
    """The bench drops the same tokens; streaming counts positions within the cache in a session alone."""
    bench = LanguageBench(model, QUAD, window[None], PROMPT)
    point = Point("smollm2", (8, 0), q_bits=12, v_bits=(6, 0), k_scale="pair", v_scale="channel", evict=name,
                  cache=CACHE, prompt_here=True)
    attention = bench.attention(point)
    losses = bench.losses(point, bench.scaled(point, attention))[0]
    session = evicting(model, integer_attention(GoldenEngine(QUAD)), name)
    got = run(session, window)
    # Their scales are rounded at other places, which an untrained model makes large.
    assert np.abs(cross_entropy(got[1:], window[PROMPT + 1:]) - losses).mean() < 0.05
    for layer, slots in enumerate(session.slots):
        assert np.array_equal(slots.positions, attention.slots[layer].positions)


@pytest.mark.parametrize("attention", [FloatAttention, lambda: integer_attention(GoldenEngine(QUAD))],
                         ids=["float", "golden"])
def test_a_cache_for_all_is_a_session_of_layers(model, window, attention):
    whole = run(Session(model, QUAD, SETTINGS, attention()), window)
    for name in ("h2o", "snapkv"):
        assert np.allclose(run(evicting(model, attention(), name, TOKENS), window), whole, atol=1e-4)


def test_text_without_end(model, window):
    """300 tokens in 12 slots, where the model has seen 56 positions; memory and slots stay as they are."""
    session = evicting(model, integer_attention(GoldenEngine(QUAD)), "streaming", 12)
    session.prompt(tuple(window[:20].tolist()))
    size = None
    for token in np.random.default_rng(2).integers(0, 40, 300).tolist():
        session.step(token)
        now = session.cache.codes["k"].shape, session.slots[0].tokens
        assert size in (None, now)
        size = now
    assert session.tokens == 320 and session.slots[0].tokens == 13


def test_positions_within_the_cache(model, window):
    """A step of streaming is dense attention of the tokens kept, counted from 0 without gaps."""
    session = evicting(model, FloatAttention(), "streaming", 10)
    first = session.prompt(tuple(window[:30].tolist()))
    assert np.isfinite(first).all()
    seen = {}
    plain = session._compute

    def spy(at, job, written, real_q, q, label):
        seen[at] = (real_q, *(session.cache.real[name][at, :, :job.tokens] for name in ("k", "v")),
                    session.slots[at // 2].positions[0, at % 2].copy())
        return plain(at, job, written, real_q, q, label)

    session._compute = spy
    for token in window[30:40]:
        session.step(int(token))
    assert session.slots[0].seen == 40
    q, k, _, positions = seen[0]
    # The key of token 0 as it would be at 40 − 11 = 29, where the window's oldest token is at 33.
    unfold = model.folds["k"][0, 0]
    fresh = model.project(0, model.embed(window[:1], np.zeros(1)), np.array([29]))[1][0, 0]
    assert sorted(positions.tolist()) == [0, 1, 2, 3, *range(33, 40)]
    assert np.allclose(k[0, 0] * unfold, fresh, atol=1e-5) and q.shape[-1] == 16


@pytest.mark.parametrize("prompt", [1, 2, 3])
def test_the_first_tokens_may_come_after_the_prompt(model, window, prompt):
    """Keys of tokens generated before the window moves are kept as they are, and turned when it does."""
    session = evicting(model, FloatAttention(), "streaming", 10, steps=20)
    session.prompt(tuple(window[:prompt].tolist()))
    for token in window[prompt:20]:
        session.step(int(token))
    keys = session.cache.real["k"][:, 0, :11]
    assert (np.abs(keys).max(axis=-1) > 0).all()
    assert session.slots[0].positions[0, 0].tolist()[:4] == [0, 1, 2, 3]


def test_traces_are_as_long_as_the_cache(model, window):
    session = evicting(model, FloatAttention(), "h2o", 20)
    run(session, window)
    last = session.traces[-1]
    assert last.tokens == TOKENS and len(last.positions) == len(last.result.token_importance) == 21
    wide = last.by_position
    assert np.array_equal(np.flatnonzero(wide.tokens_alive), np.sort(last.positions))
    assert np.count_nonzero(wide.token_importance) <= 21 and len(wide.token_importance) == TOKENS


def test_too_little_room_is_refused(model):
    session = evicting(model, FloatAttention(), "snapkv", 60, steps=20)
    with pytest.raises(UserError, match="the cache needs 70 slots, 'quad' has max_tokens = 64"):
        session.check(50, 6)


@pytest.mark.parametrize("rules", [False, True], ids=["static", "by-key"])
def test_the_hardware(model, window, rules):
    """A job per K/V head on the Verilog, after the golden model bit for bit: prompt, moved rows, slots reused."""
    from spatten_hw.host.rules import BY_KEY

    settings = replace(SETTINGS, k_bits=(4, 4), v_bits=(4, 0), threshold=1.0, rules=BY_KEY) if rules else SETTINGS
    with transport(QUAD) as simulated:
        engine = HardwareEngine(QUAD, simulated)
        run(evicting(model, integer_attention(engine), SMALL, 9, settings), window, 14, 19)
        run(evicting(model, integer_attention(engine), "tova", 8, settings), window, 11, 14)
    assert engine.mismatches == [] and engine.compared > 1000


def test_dense_attention_is_what_is_compared_with():
    rng = np.random.default_rng(1)
    q, k, v = rng.random((5, 2, 4)), rng.random((5, 1, 4)), rng.random((5, 1, 4))
    assert np.allclose(causal_attention(q, k, v)[0], np.repeat(v[0], 2, axis=0))
