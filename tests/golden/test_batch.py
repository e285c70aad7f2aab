"""Batches of sequences against the golden accelerator, one sequence at a time: every integer is the same."""

from __future__ import annotations

import random

import numpy as np
import pytest

from spatten_hw.host.job import LayerJob
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.golden.batch import BatchAccelerator
from spatten_hw.sim.golden.batch_float import BatchFloat
from spatten_hw.sim.golden.batch_operands import Rows, key_rows, score_type, value_rows, value_type
from spatten_hw.sim.golden.cascade import CascadeError
from spatten_hw.sim.golden.float_engine import run_float
from spatten_hw.sim.golden.integer_engine import golden_results
from tests.integration.builds import QUAD, WIDE, random_rules, random_workload

SEQUENCES = 3


def integers(numbers, shape, bits, levels):
    """Operands of so many levels: few of them make ties."""
    limit = (1 << (bits - 1)) - 1
    top = min(limit, levels)
    return numbers.integers(-top, top + 1, size=shape) * (limit // top)


def random_plans(seed, config):
    """Plans of one job over several sequences. Scales and output unit are theirs in common."""
    rng = random.Random(seed)
    arrays, job = random_workload(rng, config)
    if seed % 2:
        job = random_rules(rng, job)
    numbers = np.random.default_rng(seed)
    bits = {"q": job["q_bits"], "k": sum(job["k_bits"]), "v": sum(job["v_bits"])}
    levels = rng.choice([1, 3, 1 << 15])
    scales = {f"{n}_scale": np.full(arrays[n].shape[:2], rng.choice([0.02, 0.1, 1.0]) * 2.0 ** (4 - bits[n]))
              for n in "qkv"}
    plans = []
    for _ in range(SEQUENCES):
        given = {n: integers(numbers, arrays[n].shape, bits[n], levels) for n in "qkv"}
        given["v"][..., 0, 0] = (1 << (bits["v"] - 1)) - 1  # the output unit follows from the largest
        plans.append(Plan(make_workload(given | scales, job), config))
    return plans


def stacked(plans, i):
    """Operands of pass i of every plan."""
    passes = [p.passes[i] for p in plans]
    job = passes[0].job
    assert all(p.job == job and p.descriptor == passes[0].descriptor for p in passes)
    q, k, v = (np.stack([getattr(p, n) for p in passes]) for n in "qkv")
    return passes[0], q, key_rows(k, job.q_bits, job.k_msb + job.k_lsb, job.k_lsb), \
        value_rows(v, job.v_msb + job.v_lsb, job.v_lsb)


@pytest.mark.parametrize("config", [QUAD, WIDE], ids=lambda c: c.name)
@pytest.mark.parametrize("seed", range(40))
def test_equals_golden(seed, config):
    plans = random_plans(seed, config)
    expected = [golden_results(p, config) for p in plans]
    batch = BatchAccelerator(config, SEQUENCES)
    for i in range(len(plans[0].passes)):
        p, q, k, v = stacked(plans, i)
        result = batch.run(p.job, q, k, v, descriptor=p.descriptor)
        for b in range(SEQUENCES):
            got, want = result.one(b), expected[b][i]
            for name in ("tokens_alive", "heads_alive", "written", "refetched", "out", "token_scores", "head_scores",
                         "kept", "lsb_keys"):
                assert np.array_equal(getattr(got, name), getattr(want, name)), (seed, p.name, b, name)
            assert got.bytes == want.bytes and got.rows == want.rows, (seed, p.name, b)


def test_random_jobs_reach_every_path():
    jobs = [p.passes[-1].job for seed in range(60) for p in random_plans(seed, WIDE)[:1]]
    for name in ("generate", "causal", "k_lsb", "v_lsb", "protect_first", "protect_last", "lsb_by_key", "mass_share",
                 "give_back"):
        assert {bool(getattr(j, name)) for j in jobs} == {False, True}, name
    assert any(j.group > 1 for j in jobs) and any(j.keep_values < j.tokens for j in jobs)
    assert any(j.keep_tokens < j.tokens and j.keep_heads < j.heads and j.threshold > 0 for j in jobs)


@pytest.mark.parametrize("seed", range(12))
def test_macs(seed):
    """Multiply-accumulates by their definition, from the counts of the golden model."""
    plans = random_plans(seed, QUAD)
    expected = [golden_results(p, QUAD) for p in plans]
    batch = BatchAccelerator(QUAD, SEQUENCES)
    for i in range(len(plans[0].passes)):
        p, q, k, v = stacked(plans, i)
        macs = batch.run(p.job, q, k, v, descriptor=p.descriptor).macs
        job = p.job
        for b in range(SEQUENCES):
            r = expected[b][i]
            alive = int(r.tokens_alive.sum())
            keys = [t + 1 for t in range(alive)] if job.causal else [alive] * (1 if job.generate else alive)
            heads = int(r.heads_alive.sum()) * job.group
            assert macs["scores"][b] == heads * sum(keys) * job.dim
            flat = r.refetched[:, r.tokens_alive if not job.generate else slice(None)]
            listed = np.repeat(r.lsb_keys.sum(axis=1), job.group)[:, None] if job.generate else np.array(keys)
            assert macs["replays"][b] == int((flat * listed).sum()) * job.dim
            assert macs["values"][b] == int(r.kept.sum()) * job.dim
            if not job.mass_share:
                assert r.kept.sum() == heads * sum(min(n, job.keep_values) for n in keys)


def test_watch_sees_both_probabilities():
    plans = [random_plans(seed, QUAD)[0] for seed in range(40)]
    plan = next(p for p in plans if p.passes[0].job.k_lsb and p.passes[0].job.tokens > 8)
    p, q, k, v = stacked([plan], 0)
    seen = []
    batch = BatchAccelerator(QUAD, 1)
    batch.watch = lambda *rows: seen.append(rows)
    result = batch.run(p.job, q, k, v)
    ((rough, exact, pmax),) = seen
    assert np.array_equal(pmax, result.pmax.reshape(-1)) and np.array_equal(pmax, rough.max(axis=1))
    assert rough.shape == exact.shape and not np.array_equal(rough, exact)


@pytest.mark.parametrize("seed", range(20))
def test_float_equals_float_engine(seed):
    """The float twin against `run_float`, one sequence at a time (operands without ties)."""
    rng = random.Random(seed)
    arrays, job = random_workload(rng, QUAD)
    if seed % 2:
        job = random_rules(rng, job)
    numbers = np.random.default_rng(seed)
    works = [make_workload({n: numbers.normal(size=arrays[n].shape) for n in "qkv"}, job) for _ in range(SEQUENCES)]
    plans = [Plan(w, QUAD) for w in works]
    expected = [run_float(w) for w in works]
    batch = BatchFloat(QUAD, SEQUENCES)
    for p in plans[0].passes:
        tokens = p.job.tokens
        rows = slice(p.step, p.step + 1) if p.job.generate else slice(0, tokens)
        q = np.stack([w.real["q"][p.layer][:, rows] for w in works])
        k, v = (np.stack([w.real[n][p.layer][:, :tokens] for w in works]) for n in "kv")
        out = batch.run(p.job, q, k, v)
        want = np.stack([e.out[p.layer][:, rows] for e in expected])
        assert np.max(np.abs(out - want)) < 1e-9, (seed, p.name)
    assert np.allclose(batch.cascade.token_scores[:, :tokens], [e.token_scores[:tokens] for e in expected])


def test_types_keep_sums_exact():
    assert score_type(32, 8, 8) is np.float32 and score_type(64, 10, 12) is np.float64
    assert value_type(256, 12) is np.float32 and value_type(256, 14) is np.float64
    with pytest.raises(ValueError, match="beyond float64"):
        score_type(1 << 32, 16, 16)


def test_refuses_what_it_cannot_do():
    batch = BatchAccelerator(QUAD, 2)
    empty = Rows.empty((2, 1, 4, 8), 0, np.float32)
    q = np.zeros((2, 1, 4, 8), dtype=np.int64)
    job = LayerJob(dim=8, tokens=4, scales=())
    with pytest.raises(ValueError, match="loads none"):
        batch.run(job.replace(load_scores=1), q, empty, empty)
    with pytest.raises(CascadeError, match="nothing is alive"):
        batch.run(job, q, empty, empty)
