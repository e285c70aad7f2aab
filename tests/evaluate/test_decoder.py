"""The decoder's bench on a tiny model: against its dense forward pass, the golden accelerator, and counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.evaluate.attention import FloatAttention, GoldenAttention
from spatten_hw.sim.evaluate.decoder import DecoderBench, dense_bytes, dense_macs, windows_of
from spatten_hw.sim.evaluate.point import Point
from spatten_hw.sim.evaluate.rtl import STEPS, SpotCheck
from spatten_hw.sim.models.decoder.attention import integer_attention
from spatten_hw.sim.models.decoder.session import Session
from spatten_hw.sim.models.engines import GoldenEngine, HardwareEngine
from spatten_hw.sim.models.gpt.model import random_gpt
from spatten_hw.sim.models.gpt.perplexity import cross_entropy
from tests.integration.builds import QUAD, transport

from .wrong import WrongEngine

WINDOWS, CONTEXT = 3, 32
HARD = Point("decoder", (6, 4), threshold=0.3, keep_tokens=(0.8, 0.5), keep_heads=(1.0, 0.5), keep_values=0.5,
             protect_last=4, front_tokens=0.0, front_heads=0.0)
RULES = replace(HARD, bits=(4, 4), threshold=0.9, lsb_margin=0.5, keep_mass=0.6, give_back=True)


@pytest.fixture(scope="module")
def bench():
    model = random_gpt(3, layers=2, heads=2, dim=16, context=CONTEXT, vocabulary=20)
    ids = np.random.default_rng(5).integers(0, 20, (WINDOWS, CONTEXT + 1))
    return DecoderBench(model, QUAD, ids)


def test_float_without_pruning_is_the_model(bench):
    point = Point("decoder", None)
    losses = bench.losses(point, FloatAttention(bench.jobs(point), WINDOWS))
    dense = cross_entropy(bench.model.forward(bench.windows[:, :-1]), bench.windows[:, 1:])
    assert losses.shape == (WINDOWS, CONTEXT // 2)
    assert np.max(np.abs(losses - dense[:, CONTEXT // 2:])) < 1e-3


def test_many_bits_are_close_to_float(bench):
    exact, quantised, coarse = (bench.measure(Point("decoder", bits))["cross_entropy"]
                                for bits in (None, (12, 0), (4, 0)))
    assert quantised == pytest.approx(exact, rel=5e-3)
    assert abs(coarse - exact) > 5 * abs(quantised - exact)


def test_pruned_float_tells_pruning_apart(bench):
    pruned = {"keep_tokens": (0.5, 0.5), "front_tokens": 0.0, "protect_last": 2}
    dense, exact, quantised = (bench.measure(p)["cross_entropy"] for p in (
        Point("decoder", None), Point("decoder", None, **pruned), Point("decoder", (12, 0), **pruned)))
    assert abs(exact - dense) > 1e-2 and quantised == pytest.approx(exact, rel=5e-3)


def test_rules_in_float_tell_rules_apart(bench):
    """Mass and what was dropped mean the same without bits; twelve of them are close."""
    rules = {"keep_mass": 0.6, "give_back": True}
    dense, exact, quantised = (bench.measure(p)["cross_entropy"] for p in (
        Point("decoder", None), Point("decoder", None, **rules), Point("decoder", (12, 0), **rules)))
    assert abs(exact - dense) > 1e-3 and quantised == pytest.approx(exact, rel=5e-3)


def test_dense_counts(bench):
    """Bytes and multiply-accumulates of a dense 12-bit run, beside those that are asked for."""
    result = bench.measure(Point("decoder", (12, 0)))
    layers, heads, dim, prompt = 2, 2, 16, CONTEXT // 2
    row, out = dim * 12 // 8, 2 * dim
    by_hand = sum((row + out) + 2 * (row if t < prompt else (t + 1) * row) for t in range(CONTEXT))
    assert dense_bytes(bench.model, prompt, CONTEXT) == layers * heads * by_hand
    assert dense_macs(bench.model, CONTEXT) == layers * heads * 2 * dim * sum(range(1, CONTEXT + 1))
    data = sum(n for name, n in result["bytes"].items() if name != "other")
    assert data == result["dense_bytes"] == WINDOWS * layers * heads * by_hand
    assert result["mac_ratio"] == 1 and result["refetch_rate"] == 0
    assert result["predictions"] == WINDOWS * prompt


def test_everything_at_once(bench):
    result = bench.measure(HARD)
    assert 0 < result["refetch_rate"] < 1 and result["steps"]["mac_ratio"] < 1
    assert result["bytes"]["k_lsb"] and result["bytes"]["v_lsb"]
    assert sum(result["pmax"]["rows_by_bin"]) == result["queries"]


def test_errors_are_watched_without_lsbs(bench):
    watched = bench.measure(Point("decoder", (4, 4)))["steps"]["errors"]
    finer = bench.measure(Point("decoder", (8, 4)))["steps"]["errors"]
    assert sum(watched["rows_by_bin"]) == WINDOWS * 2 * 2 * CONTEXT // 2
    weigh = [np.dot(e["rows_by_bin"], e["mean_by_bin"]) for e in (watched, finer)]
    assert weigh[0] > 4 * weigh[1] > 0


def test_spot_check_agrees_and_notices(bench):
    check = SpotCheck(GoldenEngine(QUAD))
    check.decoder(bench, HARD, 2)
    assert check.layers == 2 * 2 * (1 + STEPS) and check.mismatches == []

    check = SpotCheck(WrongEngine(QUAD))
    check.decoder(bench, HARD, 1)
    assert check.mismatches[0] == "prompt, layer 0: outputs differ from the batch's"


def test_spot_check_on_the_verilog(bench):
    with transport(QUAD) as simulated:
        check = SpotCheck(HardwareEngine(QUAD, simulated))
        check.decoder(bench, HARD, 1)
    assert check.layers == 2 * (1 + STEPS) and check.cycles > 0 and check.mismatches == []


def test_batches_do_not_mix(bench):
    """Every window alone gives what it gives in the batch."""
    jobs = bench.jobs(HARD)
    together = bench.losses(HARD, GoldenAttention(jobs, WINDOWS))
    for i in range(WINDOWS):
        one = DecoderBench(bench.model, QUAD, bench.windows[i:i + 1])
        assert np.allclose(one.losses(HARD, GoldenAttention(jobs, 1)), together[i], atol=1e-4)


@pytest.mark.parametrize("point", [HARD, RULES], ids=["paper", "by-key"])
def test_is_generation(bench, point):
    """One window is what a session of `generate-text` computes when it is fed the same tokens."""
    session = Session(bench.model, QUAD, point.decoder_settings, integer_attention(GoldenEngine(QUAD)))
    ids = [int(i) for i in bench.windows[0]]
    logits = [session.prompt(tuple(ids[:bench.prompt]))]
    logits += [session.step(i) for i in ids[bench.prompt:CONTEXT]]
    one = DecoderBench(bench.model, QUAD, bench.windows[:1])
    attention = GoldenAttention(one.jobs(point), 1)
    losses = one.losses(point, attention)
    expected = cross_entropy(np.array(logits[1:]), np.array(ids[bench.prompt + 1:]))
    assert np.allclose(losses[0], expected, atol=1e-4)
    moved = (attention.tallies["prompt"] + attention.tallies["steps"]).bytes
    assert moved == {name: sum(t.result.bytes[name] for t in session.traces) for name in moved}
    assert sum(t.dense_bytes for t in session.traces) == dense_bytes(bench.model, bench.prompt, CONTEXT)


def test_windows():
    ids = np.arange(100)
    cut = windows_of(ids, 30, 3)
    assert cut[0, 0] == 0 and cut[-1, -1] == 99 and len({x for row in cut for x in row}) == 90
    with pytest.raises(UserError, match="enough for 3 windows"):
        windows_of(ids, 30, 4)


def test_build_too_small():
    model = random_gpt(1, layers=1, heads=2, dim=64, context=16)
    with pytest.raises(UserError, match="needs max_dim ≥ 64"):
        DecoderBench(model, QUAD, np.zeros((1, 17), dtype=int))
