"""Requests as jobs: which share one, who survives, and rows that are flat exactly where the file says so."""

import random

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.host.rows import nibble_align, unpack_rows
from spatten_hw.sim.bench.requests import RequestFile
from spatten_hw.sim.bench.workload import batches, gathered, plan_requests, spread
from spatten_hw.sim.golden.integer_engine import golden_results
from tests.integration.builds import QUAD, WIDE

from .files import SMALL_FILE, SMALL_FLAT, row, text


def requests(tmp_path, content, config=QUAD):
    path = tmp_path / "w.csv"
    path.write_text(content)
    return RequestFile.read(path, config)


def test_survivors_are_spread_evenly():
    assert spread(4, 10).tolist() == [0, 2, 5, 7] and spread(7, 7).tolist() == list(range(7))
    for keys, tokens in ((1, 64), (9, 33), (63, 64)):
        ids = spread(keys, tokens)
        assert len(ids) == keys and ids[0] == 0 and ids[-1] < tokens
        assert set(np.diff(ids)) <= {tokens // keys, tokens // keys + 1}


def test_jobs_are_runs_of_one_shape_in_equal_parts(tmp_path):
    file = requests(tmp_path, text(*[row()] * 9, *[row(value_fetch_num=11)] * 2, row()))
    assert [len(job) for job in batches(file.requests, 4)] == [3, 3, 3, 2, 1]
    assert [r for job in batches(file.requests, 4) for r in job] == list(file.requests)
    assert [len(job) for job in batches(file.requests, 16)] == [9, 2, 1]


def test_gathering_brings_requests_alike_together_under_the_longest_context(tmp_path):
    rows = [row(sentence_length_L=61), row(value_fetch_num=11), row(sentence_length_L=63), row(value_fetch_num=11)]
    file = requests(tmp_path, text(*rows))
    together = gathered(file.requests)
    assert [r.line for r in together] == [2, 4, 3, 5]
    assert [r.shape.tokens for r in together[:2]] == [63, 63]
    jobs = plan_requests(file, QUAD, 1, gather=True)
    # The second of each kind goes on with the survivors of the first.
    assert [(p.job.load_ids, p.ids is None) for p in jobs.plan.passes] == [(1, False), (0, True)] * 2
    assert all(p.job.load_ids for p in plan_requests(file, QUAD, 1).plan.passes)


@pytest.mark.parametrize("config", [QUAD, WIDE], ids=lambda c: c.name)
def test_jobs_of_a_file(config, tmp_path):
    planned = plan_requests(requests(tmp_path, SMALL_FILE, config), config, 4)
    jobs = [p.job for p in planned.plan.passes]
    assert [j.heads for j in jobs] == [len(job) for job in planned.jobs] == [3, 2, 1, 1, 1]
    assert [(j.tokens, j.keep_values, j.k_lsb, j.threshold) for j in jobs] == [
        (60, 12, 4, 205), (61, 5, 4, 205), (33, 3, 0, 0), (33, 9, 0, 0), (64, 1, 0, 0)]
    assert all(j.load_ids and not j.restart and not j.store_ids and not j.store_scores for j in jobs)
    # Queued jobs share K and V and nothing else.
    assert jobs[0].k_msb_base == jobs[1].k_msb_base and jobs[2].k_msb_base == jobs[4].k_msb_base
    for name in ("q_base", "out_base", "ids_in"):
        assert len({getattr(j, name) for j in jobs}) == len(jobs), name
    assert len({p.descriptor for p in planned.plan.passes}) == len(jobs)
    p = planned.plan.passes[1]
    assert p.ids is not None and p.ids.tolist() == [25 | 2 << 32, sum(1 << int(t) for t in spread(25, 61)), 3]
    results = golden_results(planned.plan, config)
    assert [bool(f) for r in results for f in r.refetched[:, 0]] == SMALL_FLAT
    assert [int(r.tokens_alive.sum()) for r in results] == [60, 25, 9, 9, 1]


def test_operands_lie_where_the_jobs_look(tmp_path):
    plan = plan_requests(requests(tmp_path, SMALL_FILE), QUAD, 4).plan
    data = {(channel, base): image for n in range(len(plan.passes)) for channel, base, image in plan.layer_data(n)}
    for p in plan.passes:
        for name, bits, codes in (("q", p.job.q_bits, p.q), ("k_msb", p.job.k_msb, p.k >> p.job.k_lsb),
                                  ("v_msb", p.job.v_msb, p.v >> p.job.v_lsb)):
            token = codes.shape[1] - 1
            for h in range(p.job.heads):
                image = data[(token + h) % 2, getattr(p.job, f"{name}_base")]
                at = h * getattr(p.job, f"{name}_head_stride")
                last = at + token // 2 * getattr(p.job, f"{name}_token_stride")
                assert np.array_equal(unpack_rows(image[last:], p.job.dim, bits, nibble_align(QUAD)), codes[h, -1])


def test_flat_rows_exactly_as_asked(tmp_path):
    """Random shapes, widths and thresholds."""
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    rows = []
    for n in range(60):
        tokens = rng.randint(30, 64)
        keys = rng.randint(28, tokens)
        bits = rng.choice([4, 6, 8])
        rows.append(row(head_id=n, embedding_length_D=rng.choice([8, 16, 32]), sentence_length_L=tokens,
                        key_fetch_num=keys, value_fetch_num=rng.randint(1, keys), quant_key_bit=bits,
                        quant_value_bit=bits, auto_requant_thres=rng.choice([0.05, 0.08, 0.2]),
                        if_requant=rng.random() < 0.5))
    file = requests(tmp_path, text(*rows))
    planned = plan_requests(file, QUAD, QUAD.max_heads)
    found = [bool(f) for r in golden_results(planned.plan, QUAD) for f in r.refetched[:, 0]]
    assert found == [r.flat for r in file.requests] and any(found) and not all(found)


@pytest.mark.parametrize("changes", [
    {"key_fetch_num": 10, "value_fetch_num": 2, "if_requant": True},  # 1/10 is not below 0.05
    {"auto_requant_thres": 0, "if_requant": True}, {"auto_requant_thres": 1, "if_requant": False},
])
def test_what_no_query_can_be(changes, tmp_path):
    with pytest.raises(UserError, match=r"w\.csv, line 3: no query over \d+ keys is .*flat .*; change if_requant"):
        plan_requests(requests(tmp_path, text(row(), row(**changes))), QUAD, 4)
