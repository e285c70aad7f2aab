"""The golden accelerator: SpAtten's rules as properties, and plain attention when nothing is pruned."""

import dataclasses
import itertools

import numpy as np
import pytest

from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.float_engine import run_float
from spatten_hw.sim.golden.integer_engine import run_golden

from .passes import WIDE, arrays, golden

SETTINGS = [[4, 4], [6, 4], [8, 4], [10, 4], [12, 4]]


# -- no pruning = plain attention -------------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["none", "causal", 7])
@pytest.mark.parametrize("bits,tolerance", [(8, 0.06), (12, 0.006), (16, 0.003)])
@pytest.mark.parametrize("kv", [1, 2, 4])
def test_no_pruning_is_plain_attention(mask, bits, tolerance, kv):
    a = arrays(bits, kv=kv)
    w, _, run = golden(a, {"mask": mask, "q_bits": bits, "k_bits": bits, "v_bits": bits})
    reference = run_float(w)
    assert np.abs(run.outputs.out - reference.out).max() < tolerance * np.abs(a["v"]).max()
    assert np.array_equal(run.outputs.token_kept, reference.token_kept)
    # Probabilities of a row sum to 1 within n/2 steps of 2^-12.
    rows = 2 * 4 * reference.token_kept[0].sum()
    np.testing.assert_allclose(run.outputs.token_scores.sum(), rows, atol=rows * 6 / 4096)
    np.testing.assert_allclose(run.outputs.head_scores, reference.head_scores, rtol=4 * tolerance)


@pytest.mark.parametrize("bits", SETTINGS, ids=str)
def test_all_lsbs_fetched_is_full_width(bits):
    """Every row flat (threshold 1): the same bits as a static width of msb + lsb."""
    width = sum(bits)
    job = {"q_bits": 8, "mask": "causal", "keep_tokens": [None, 6], "keep_values": [5, 4]}
    _, _, run = golden(arrays(3), job | {"k_bits": bits, "v_bits": bits, "threshold": 1.0})
    assert np.array_equal(run.outputs.refetched.sum(2), [[12] * 4, [6] * 4])
    _, _, srun = golden(arrays(3), job | {"k_bits": width, "v_bits": width})
    assert np.array_equal(run.outputs.out, srun.outputs.out)
    assert np.array_equal(run.outputs.token_scores, srun.outputs.token_scores)
    assert not srun.outputs.refetched.any()


@pytest.mark.parametrize("bits", SETTINGS, ids=str)
def test_no_lsbs_is_msbs_alone(bits):
    """Threshold 0: never LSBs, K as msb·2^l, V in the middle of its interval."""
    w, _, run = golden(arrays(4), {"k_bits": bits, "v_bits": bits, "threshold": 0.0})
    assert not run.outputs.refetched.any()
    assert run.outputs.bytes["k_lsb"] == 0 and run.outputs.bytes["v_lsb"] == 0
    k = w.codes["k"] >> 4 << 4
    v = (w.codes["v"] >> 4 << 4) + 8
    width = sum(bits)
    _, _, static = golden({"q": w.codes["q"], "k": k, "v": v, "q_scale": w.scales["q"],
                           "k_scale": w.scales["k"], "v_scale": w.scales["v"]},
                          {"k_bits": width, "v_bits": width})
    for a, b in zip(run.results, static.results, strict=True):
        # Outputs are in units of max|v|, which the midpoints moved: compare probabilities by token sums.
        assert np.array_equal(a.tokens_alive, b.tokens_alive)
    assert np.array_equal(run.outputs.token_scores, static.outputs.token_scores)
    np.testing.assert_allclose(run.outputs.out, static.outputs.out, atol=2.1 * w.out_unit)


def test_lsbs_only_under_the_threshold():
    """Rows split exactly at max(P) of the MSBs: larger thresholds add rows and change no other."""
    results = [golden(arrays(5, spread=3.0), {"k_bits": [6, 4], "v_bits": [6, 4], "threshold": t})[2]
               for t in (0.0, 0.4, 0.6, 1.0)]
    base, counts = results[0].outputs, []
    for run in results:
        o = run.outputs
        counts.append(int(o.refetched.sum()))
        same = ~o.refetched[0]
        assert np.array_equal(o.out[0][same], base.out[0][same])
    assert counts[0] == 0 < counts[1] < counts[2] < counts[3] == base.refetched.size
    for less, more in itertools.pairwise(results):
        assert not np.any(less.outputs.refetched & ~more.outputs.refetched)


def test_threshold_compares_the_rounded_maximum():
    """One key: max(P) saturates at 4095/4096, so a threshold of 4095 does not fetch and 4096 does."""
    a = arrays(6, layers=1, heads=1, kv=1, queries=1, tokens=1)
    for code, fetched in ((4095, False), (4096, True)):
        _, _, run = golden(a, {"k_bits": [8, 4], "threshold": code / 4096})
        assert run.outputs.refetched.item() is fetched


# -- importance ---------------------------------------------------------------------------------------------


def test_only_final_probabilities_count_before_value_pruning():
    a = arrays(7, layers=1, spread=2.0)
    job = {"k_bits": [6, 4], "v_bits": [6, 4], "threshold": 0.3}
    _, _, every = golden(a, job)
    _, _, pruned = golden(a, job | {"keep_values": [1]})
    assert every.outputs.refetched.any() and not every.outputs.refetched.all()
    assert np.array_equal(every.outputs.token_scores, pruned.outputs.token_scores)
    assert not np.array_equal(every.outputs.head_scores, pruned.outputs.head_scores)
    # Each row adds its final probabilities once: about 1 per row, not 2 for a refetched one.
    np.testing.assert_allclose(every.outputs.token_scores.sum(), 48, rtol=0.01)


def test_head_scores_are_sums_of_outputs():
    _, _, run = golden(arrays(8), {})
    total = sum(np.abs(r.out).reshape(2, -1).sum(1) for r in run.results)
    np.testing.assert_array_equal(run.results[-1].scores[12:], total)


# -- cascade ------------------------------------------------------------------------------------------------


def test_counts_order_and_cascade():
    rng = np.random.default_rng(9)
    for seed in range(8):
        layers, tokens = 5, int(rng.integers(4, 40))
        keep = [None if rng.random() < 0.3 else int(rng.integers(2, tokens + 1)) for _ in range(layers)]
        heads = [None if rng.random() < 0.3 else int(rng.integers(1, 5)) for _ in range(layers)]
        values = [None if rng.random() < 0.3 else int(rng.integers(1, tokens + 1)) for _ in range(layers)]
        job = {"keep_tokens": keep, "keep_heads": heads, "keep_values": values, "protect_first": 1,
               "protect_last": 1, "mask": ["none", "causal"][seed % 2], "k_bits": [8, 4], "threshold": 0.1}
        a = arrays(seed, layers=layers, kv=4, queries=tokens, tokens=tokens, dim=8)
        _, _, run = golden(a, job)
        o = run.outputs
        alive, live_heads = tokens, 4
        for layer in range(layers):
            alive = min(alive, keep[layer] or alive)
            live_heads = min(live_heads, heads[layer] or live_heads)
            assert o.token_kept[layer].sum() == alive and o.head_kept[layer].sum() == live_heads
            assert o.token_kept[layer][[0, -1]].all()
            if layer:
                assert not np.any(o.token_kept[layer] & ~o.token_kept[layer - 1])
                assert not np.any(o.head_kept[layer] & ~o.head_kept[layer - 1])
            assert not o.out[layer][:, ~o.token_kept[layer]].any()
            assert not o.out[layer][~o.head_kept[layer]].any()
            assert run.results[layer].queries == alive * live_heads


def test_the_most_important_survive():
    """The survivors of each layer are those that the scores after the layer before put first."""
    a = arrays(10, layers=3, tokens=20, queries=20)
    job = {"keep_tokens": [None, 11, 6], "protect_first": 2}
    _, plan, run = golden(a, job)
    accelerator = GoldenAccelerator(WIDE)
    alive = np.arange(20)
    for p, r in zip(plan.passes, run.results, strict=True):
        keep = [20, 11, 6][p.layer]
        scores = accelerator.cascade.token_scores[alive]
        order = sorted(range(len(alive)), key=lambda i: (alive[i] >= 2, -scores[i], alive[i]))
        alive = np.sort(alive[order[:keep]])
        accelerator.run(p.job, p.q, p.k, p.v)
        assert np.flatnonzero(r.tokens_alive).tolist() == alive.tolist()


def test_ties_keep_the_lowest_id():
    same = {n: np.ones((2, 2, 8, 16)) for n in "qkv"}
    _, _, run = golden(same, {"keep_tokens": [3, 2], "keep_heads": [None, 1], "protect_last": 1})
    assert [np.flatnonzero(k).tolist() for k in run.outputs.token_kept] == [[0, 1, 7], [0, 7]]
    assert run.outputs.head_kept.tolist() == [[True, True], [True, False]]


def test_a_pruned_token_touches_nothing():
    """Rows of pruned tokens and heads may hold anything."""
    a = arrays(11)
    _, plan, run = golden(a, {"keep_tokens": [None, 5], "keep_heads": [None, 1], "mask": "causal"})
    accelerator = GoldenAccelerator(WIDE)
    for p, r in zip(plan.passes, run.results, strict=True):
        q, k, v = p.q.copy(), p.k.copy(), p.v.copy()
        q[:, ~r.tokens_alive] = k[:, ~r.tokens_alive] = v[:, ~r.tokens_alive] = 77
        k[~r.heads_alive] = v[~r.heads_alive] = 55
        again = accelerator.run(p.job, q, k, v, descriptor=p.descriptor)
        assert np.array_equal(again.out, r.out) and again.bytes == r.bytes


def test_causal_rows_see_no_later_token():
    a = arrays(12, layers=1)
    job = {"mask": "causal", "k_bits": [8, 4], "v_bits": [8, 4], "threshold": 0.4, "keep_values": [4]}
    _, plan, run = golden(a, job)
    p = plan.passes[0]
    for query in (0, 4, 11):
        k, v = p.k.copy(), p.v.copy()
        k[:, query + 1:] = -p.k[:, query + 1:]
        v[:, query + 1:] = 5
        other = GoldenAccelerator(WIDE).run(p.job, p.q, k, v)
        assert np.array_equal(other.out[:, :query + 1], run.results[0].out[:, :query + 1])


def test_padding_is_a_shorter_sequence():
    a = arrays(13)
    job = {"keep_tokens": [None, 4], "protect_last": 1, "k_bits": [8, 4], "threshold": 0.3}
    w, _, padded = golden(a, job | {"mask": 9})
    codes = {n: w.codes[n][:, :, :9] for n in "qkv"} | {f"{n}_scale": w.scales[n] for n in "qkv"}
    short = make_workload(codes, job)
    shorter = run_golden(Plan(short, WIDE))
    unit = short.out_unit / w.out_unit
    assert np.array_equal(padded.outputs.token_kept[:, :9], shorter.outputs.token_kept)
    assert not padded.outputs.token_kept[:, 9:].any() and not padded.outputs.out[:, :, 9:].any()
    np.testing.assert_allclose(padded.outputs.out[:, :, :9], shorter.outputs.out, atol=2 * w.out_unit * (1 + unit))


# -- generation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kv", [1, 2, 4])
@pytest.mark.parametrize("bits", [[8, 4], 12], ids=str)
def test_generation_steps(kv, bits):
    a = arrays(14, kv=kv, queries=3)
    job = {"stage": "generate", "k_bits": bits, "v_bits": bits, "threshold": 0.3}
    w, _, run = golden(a, job)
    reference = run_float(w)
    peak = np.abs(a["v"]).max()
    assert np.abs(run.outputs.out - reference.out).max() < 0.05 * peak
    assert np.array_equal(run.outputs.token_kept, reference.token_kept)
    assert [s.tokens for s in run.outputs.layers] == [10, 10, 11, 11, 12, 12]


def test_generation_restarts_every_step_and_keeps_the_scores():
    a = arrays(15, layers=3, kv=4, queries=4, tokens=20)
    job = {"stage": "generate", "keep_tokens": [[15, 9, 4], [14, 8, 4], [None, 8, 3], [13, 7, 3]],
           "keep_heads": [None, 3, 2], "keep_values": [3, 3, 3], "protect_last": 1}
    _, _, run = golden(a, job)
    o = run.outputs
    assert o.token_kept.sum(2).tolist() == [[15, 9, 4], [14, 8, 4], [19, 8, 3], [13, 7, 3]]
    assert o.head_kept.sum(2).tolist() == [[4, 3, 2]] * 4
    for step in range(4):
        newest = 16 + step
        assert o.token_kept[step][:, newest].all() and not o.token_kept[step][:, newest + 1:].any()
    # 4 steps × (4 + 3 + 2 heads) rows of probabilities, accumulated.
    np.testing.assert_allclose(o.token_scores.sum(), 36, rtol=0.01)


def test_scores_of_a_prompt_decide():
    scores = np.array([0, 9, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0.5])
    a = arrays(16, queries=3) | {"token_scores": scores, "head_scores": np.array([0.0, 1e3])}
    job = {"stage": "generate", "keep_tokens": [3, 2], "keep_heads": [1, 1]}
    w, plan, run = golden(a, job)
    assert [p.new_token is not None for p in plan.passes] == [False] * 4 + [True, False]
    reference = run_float(w)
    assert np.array_equal(run.outputs.token_kept, reference.token_kept)
    assert np.flatnonzero(run.outputs.token_kept[0, 0]).tolist() == [1, 3, 5]
    assert run.outputs.head_kept[:, :, 1].all() and not run.outputs.head_kept[:, :, 0].any()
    np.testing.assert_allclose(run.outputs.token_scores, reference.token_scores, atol=0.02)
    np.testing.assert_allclose(run.outputs.head_scores, reference.head_scores, rtol=0.01)


# -- state ----------------------------------------------------------------------------------------------------


def test_save_and_restore_interleaves_two_sequences():
    jobs = {"keep_tokens": [9, 6, 4], "keep_heads": [None, 2, 1], "mask": "causal"}
    plans, alone = [], []
    for seed in (21, 22):
        _, plan, run = golden(arrays(seed, layers=3, kv=4), jobs)
        plans.append(plan)
        alone.append(run)
    accelerator = GoldenAccelerator(WIDE)
    saved = [None, None]
    for layer in range(3):
        for i, plan in enumerate(plans):
            p = plan.passes[layer]
            job = p.job.replace(store_scores=1, load_ids=int(layer > 0), load_scores=int(layer > 0))
            ids, scores = (saved[i].ids, saved[i].scores) if layer else (None, None)
            saved[i] = accelerator.run(job, p.q, p.k, p.v, ids_in=ids, scores_in=scores)
            assert np.array_equal(saved[i].out, alone[i].results[layer].out)
            assert np.array_equal(saved[i].ids, alone[i].results[layer].ids)
    for i in range(2):
        assert np.array_equal(saved[i].scores, alone[i].results[-1].scores)


def test_job_fields_are_all_used_somewhere():
    """A field that changes no result would be a field that the model forgot."""
    _, plan, _ = golden(arrays(23, layers=1), {"k_bits": [8, 4], "v_bits": [8, 4], "threshold": 0.5})
    p = plan.passes[0]
    base = GoldenAccelerator(WIDE).run(p.job, p.q, p.k, p.v)
    changes = [{"causal": 1}, {"threshold": 0}, {"keep_tokens": 3}, {"keep_heads": 1}, {"keep_values": 2},
               {"k_lsb": 0}, {"v_lsb": 0}, {"generate": 1},
               {"scales": tuple(dataclasses.replace(s, out_mant=s.out_mant // 2) for s in p.job.scales)},
               {"scales": tuple(dataclasses.replace(s, score_mant=s.score_mant // 2) for s in p.job.scales)}]
    for change in changes:
        other = GoldenAccelerator(WIDE).run(p.job.replace(**change), p.q, p.k, p.v)
        assert other.out.shape != base.out.shape or not np.array_equal(other.out, base.out) \
            or other.bytes != base.bytes, change
