"""Generation on the engines: right against dense attention, pruned as told, caches written row by row."""

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.host.quantise import split
from spatten_hw.host.workload.fixed_schedule import FixedCounts, FixedRatios
from spatten_hw.presets import EIGHTH, SMALL
from spatten_hw.sim.models.decoder.attention import FloatAttention, integer_attention
from spatten_hw.sim.models.decoder.jobs import DecoderJobs
from spatten_hw.sim.models.decoder.sampling import Sampler, generate
from spatten_hw.sim.models.decoder.session import Session
from spatten_hw.sim.models.decoder.settings import DecoderSettings
from spatten_hw.sim.models.engines import GoldenEngine, HardwareEngine
from spatten_hw.sim.models.gpt.model import random_gpt
from tests.integration.builds import QUAD, transport

PRUNED = DecoderSettings(q_bits=8, k_bits=(6, 4), v_bits=(8, 0), threshold=0.6, schedule=FixedRatios(0.6, 0.8, 0.5),
                     protect_last=1)


@pytest.fixture(scope="module")
def model():
    return random_gpt(11, layers=3, heads=3, dim=16, context=40)


def small_prompt(n=9):
    return tuple(np.random.default_rng(n).integers(0, 96, n).tolist())


def run(model, config, settings, attention, count=8, prompt=None):
    session = Session(model, config, settings, attention)
    ids = list(generate(session, prompt or small_prompt(), count, Sampler()))
    return session, ids


def test_unpruned_float_is_the_model(model):
    session = Session(model, QUAD, DecoderSettings(), FloatAttention())
    ids = small_prompt(12)
    logits = [session.prompt(ids[:5]), *(session.step(i) for i in ids[5:])]
    assert np.allclose(logits, model.forward(np.array(ids))[4:], atol=1e-4)


def test_unpruned_golden_is_close(model):
    session = Session(model, QUAD, DecoderSettings(), integer_attention(GoldenEngine(QUAD)))
    ids = small_prompt(12)
    logits = np.array([session.prompt(ids[:5]), *(session.step(i) for i in ids[5:])])
    expected = model.forward(np.array(ids))[4:]
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()
    assert np.array_equal(logits.argmax(axis=1), expected.argmax(axis=1))


@pytest.mark.parametrize("engine", ["golden", "float"])
def test_pruning_follows_the_schedule(model, engine):
    attention = integer_attention(GoldenEngine(QUAD)) if engine == "golden" else FloatAttention()
    session, ids = run(model, QUAD, PRUNED, attention)
    assert len(session.traces) == 3 * len(ids)
    importance = np.zeros(0)
    for t in session.traces:
        tokens, heads = t.result.tokens_alive, t.result.heads_alive
        assert t.tokens == len(tokens) == 9 + t.step
        keep = PRUNED.schedule.counts(3, t.tokens, 3, 2)
        if t.step == 0:
            assert tokens.all() and heads.all() and t.result.queries == 9 * 3
        else:
            assert tokens.sum() == keep.tokens[t.layer] and heads.sum() == keep.heads[t.layer]
            assert tokens[0] and tokens[-1], "the first token and the newest are protected"
        # Importance goes on over layers and steps: only those alive gain, by Σ P = the number of query rows.
        now = np.pad(importance, (0, t.tokens - len(importance)))
        gained = t.result.token_importance - now
        assert np.all(gained[~tokens] == 0) and np.all(gained >= 0)
        assert gained.sum() == pytest.approx(t.result.queries, rel=0.02)
        importance = t.result.token_importance
    if engine == "golden":
        assert 0 < sum(t.result.refetched for t in session.traces) < sum(t.result.queries for t in session.traces)
        assert sum(t.result.bytes["k_lsb"] for t in session.traces) > 0
        last = session.traces[-3]  # layer 0: all 16 tokens alive, 8 values per head
        assert (last.tokens, last.result.bytes["v_msb"]) == (16, 3 * 8 * 16)
        assert last.dense_bytes == 3 * (24 + 32) + 2 * 3 * 16 * 24


@pytest.mark.parametrize("config,progressive", [(SMALL, True), (EIGHTH, False)])
def test_memory_holds_the_cache(config, progressive):
    """Rows written one by one, at their addresses, are the planes of the whole context."""
    model = random_gpt(3, layers=2, heads=3, dim=32, context=24)
    settings = DecoderSettings(k_bits=(12, 4) if progressive else (12, 0), v_bits=(8, 4))
    memory = np.full((config.channels, 1 << 20), 0xEE, dtype=np.uint8)
    config = config.replace(operand_bits=16) if progressive else config
    golden = integer_attention(GoldenEngine(config))

    def writing(task, out_unit):
        for channel, addr, data in task.layer_data(task.layer_pass.layer):
            memory[channel, addr:addr + len(data)] = data
        return golden(task, out_unit)

    session, _ = run(model, config, settings, writing, 6)
    jobs, cache, tokens = session.jobs, session.cache, session.tokens
    assert tokens == 9 + 5
    for layer, planes in enumerate(jobs.planes):
        for name, plane in planes.items():
            lsb = (settings.k_bits if name[0] == "k" else settings.v_bits)[1]
            part = split(cache.codes[name[0]][layer], lsb)[name.endswith("lsb")]
            for head in range(model.heads):
                for token in range(model.context):
                    at = int(plane.address(head, token))
                    row = memory[(token + head) % config.channels, at:at + plane.nbytes]
                    if token < tokens:
                        assert np.array_equal(row, plane.pack(part[head, token], jobs.settings.precision.planes[name]))
                    else:
                        assert np.all(row == 0xEE), "nothing is written before it is there"


@pytest.mark.parametrize("settings", [PRUNED, DecoderSettings()], ids=["pruned", "dense"])
def test_hardware_gives_the_same_text(model, settings):
    """The generated Verilog: the same tokens, and every job bit for bit."""
    with transport(QUAD) as link:
        engine = HardwareEngine(QUAD, link)
        session, ids = run(model, QUAD, settings, integer_attention(engine), 6)
    golden, expected = run(model, QUAD, settings, integer_attention(GoldenEngine(QUAD)), 6)
    assert ids == expected and not engine.mismatches and engine.compared > 0
    assert sum(t.result.cycles for t in session.traces) == engine.cycles > 0
    assert [t.result.bytes for t in session.traces] == [t.result.bytes for t in golden.traces]


def test_prompt_prunes_values_of_all_its_tokens(model):
    jobs, attention = [], FloatAttention()

    def watching(task, out_unit):
        jobs.append(task.layer_pass.job)
        return attention(task, out_unit)

    Session(model, QUAD, PRUNED, watching).prompt(small_prompt(9))
    assert [j.keep_values for j in jobs] == [5, 5, 5] and all(j.causal and j.tokens == 9 for j in jobs)


def test_importance_starts_anew_with_a_prompt(model):
    engine = GoldenEngine(QUAD)
    first, a = run(model, QUAD, PRUNED, integer_attention(engine))
    second, b = run(model, QUAD, PRUNED, integer_attention(engine))
    assert a == b
    assert np.array_equal(first.traces[-1].result.token_importance, second.traces[-1].result.token_importance)


def test_sampling():
    logits = np.array([0.0, 3.0, 3.0, 1.0])
    assert Sampler()(logits) == 1
    draws = [Sampler(1.0, 2, seed)(logits) for seed in range(200)]
    assert set(draws) == {1, 2} and 60 < draws.count(1) < 140
    sampler = Sampler(2.0, seed=5)
    drawn = [sampler(logits) for _ in range(200)]
    assert set(drawn) == {0, 1, 2, 3}
    again = Sampler(2.0, seed=5)
    assert [again(logits) for _ in range(200)] == drawn


@pytest.mark.parametrize("make,said", [
    (lambda: Sampler(-1.0), "temperature"), (lambda: Sampler(float("nan")), "temperature"),
    (lambda: Sampler(1.0, 0), "top_k"), (lambda: DecoderSettings(q_bits=7), "q_bits = 7"),
    (lambda: DecoderSettings(k_bits=(6, 3)), r"k_bits = 6\+3"), (lambda: DecoderSettings(v_bits=(14, 4)), "v_bits"),
    (lambda: DecoderSettings(threshold=1.5), "threshold"), (lambda: DecoderSettings(protect_last=0), "protect_last"),
])
def test_wrong_settings(make, said):
    with pytest.raises(UserError, match=said):
        make()


@pytest.mark.parametrize("prompt,count,settings,said", [
    ((), 3, DecoderSettings(), "prompt is empty"), ((1,), 0, DecoderSettings(), "at least 1"),
    ((1,) * 30, 11, DecoderSettings(), "context of 40"),
    ((1, 2), 5, DecoderSettings(schedule=FixedCounts(keep_tokens=9)), "keep_tokens = 9: .* 7 tokens"),
    ((1, 2), 5, DecoderSettings(schedule=FixedCounts(keep_values=(8, 2, 2))), "keep_values = 8"),
    ((1, 2), 5, DecoderSettings(schedule=FixedCounts(keep_heads=4)), "keep_heads"),
    ((1, 2), 5, DecoderSettings(schedule=FixedCounts(keep_tokens=1), protect_last=1), "protected"),
])
def test_impossible_requests(model, prompt, count, settings, said):
    def never(task, unit):
        raise AssertionError("nothing must run")

    with pytest.raises(UserError, match=said):
        next(generate(Session(model, QUAD, settings, never), prompt, count, Sampler()))


@pytest.mark.parametrize("changes,said", [
    ({"operand_bits": 8}, "operand_bits ≥ 12"), ({"max_heads": 2, "max_group": 1}, "max_heads ≥ 3"),
    ({"max_tokens": 32}, "max_tokens ≥ 40"), ({"sram_tokens": 4}, "hold 8")])
def test_too_small_builds(model, changes, said):
    with pytest.raises(UserError, match=said):
        DecoderJobs(model, QUAD.replace(**changes), DecoderSettings(), 9)
