"""Generation jobs of several queries on the golden accelerator: against single queries, float64 and arithmetic."""

import numpy as np
import pytest

from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.batch import BatchAccelerator
from spatten_hw.sim.golden.batch_operands import key_rows, value_rows

from .passes import WIDE, arrays, golden

TOGETHER = WIDE.replace(chunk_queries=1)
#: 12 queries at the end of 30 tokens, groups of two: blocks of two positions.
SIZES = {"queries": 12, "tokens": 30}
FLAT = {"k_bits": [8, 4], "v_bits": [8, 4], "threshold": 0.3}


@pytest.mark.parametrize("more", [{}, FLAT, FLAT | {"keep_mass": 0.8, "give_back": True}, {"keep_values": [3, 2]}],
                         ids=["static", "LSBs", "mass", "values"])
@pytest.mark.parametrize("queries", [1, 5, 12])
def test_queries_together_are_queries_one_by_one(more, queries):
    """No tokens or heads are pruned: outputs, refetches and importance, bit for bit."""
    a = arrays(31, **SIZES)
    one, together = (golden(a, {"stage": "generate"} | more | extra, TOGETHER)[2].outputs
                     for extra in ({}, {"queries": queries}))
    assert np.array_equal(one.out, together.out) and np.array_equal(one.refetched, together.refetched)
    assert np.array_equal(one.token_scores, together.token_scores)
    assert np.array_equal(one.head_scores, together.head_scores)


def test_with_pruning_it_is_close_to_float():
    a = arrays(32, **SIZES)
    job = {"stage": "generate", "queries": 5, "keep_tokens": [18, 12], "protect_last": 5, "keep_heads": [2, 1]}
    result = run_workload(make_workload(a, job), TOGETHER, "golden")
    assert result.cosine > 0.9999
    kept = result.outputs.token_kept
    assert kept.shape[0] == 3 and kept[0, 0].sum() == 18 and kept[0, 1].sum() == 12
    for step, tokens in enumerate((23, 28, 30)):
        assert kept[step, :, tokens - 2:tokens].all()


def test_bytes_of_blocks():
    """Rows of 16 × 12 bits are 24 bytes: each block of two positions reads K and V up to its last query."""
    a = arrays(33, layers=1, **SIZES)
    bytes_ = golden(a, {"stage": "generate", "queries": 12}, TOGETHER)[2].outputs.bytes
    rows = sum(range(20, 31, 2))
    assert bytes_["k_msb"] == bytes_["v_msb"] == 2 * rows * 24
    assert bytes_["q"] == 4 * 12 * 24 and bytes_["out"] == 4 * 12 * 32
    all_see_all = Plan(make_workload(a, {"stage": "generate", "queries": 12}), TOGETHER).passes[0]
    job = all_see_all.job.replace(causal=0)
    p = all_see_all
    assert GoldenAccelerator(TOGETHER).run(job, p.q, p.k, p.v).bytes["k_msb"] == 2 * 6 * 30 * 24


def test_importance_to_start_from_joins_with_new_tokens():
    a = arrays(34, **SIZES) | {"token_scores": np.linspace(0, 2, 30), "head_scores": np.ones(2)}
    one, together = (golden(a, {"stage": "generate"} | extra, TOGETHER)[2].outputs for extra in ({}, {"queries": 5}))
    assert np.array_equal(one.out, together.out) and np.array_equal(one.token_scores, together.token_scores)


def test_a_batch_has_single_queries():
    a = arrays(35, layers=1, **SIZES)
    p = Plan(make_workload(a, {"stage": "generate", "queries": 4}), TOGETHER).passes[0]
    with pytest.raises(ValueError, match="one query per generation job"):
        BatchAccelerator(TOGETHER, 1).run(p.job, p.q[None], key_rows(p.k[None], 12, 12, 0),
                                          value_rows(p.v[None], 12, 0))


def test_a_block_shares_its_list_of_keys():
    """LSBs by key: flat queries of a block take those of the keys that any of them lists, single queries their own. So
    a block is never coarser, and not the same bit for bit."""
    a = arrays(36, layers=1, **SIZES)
    options = {"stage": "generate", "queries": 2, "k_bits": [8, 4], "threshold": 1.0, "lsb_margin": 0.3}
    p = Plan(make_workload(a, options), TOGETHER).passes[-1]
    block = GoldenAccelerator(TOGETHER).run(p.job, p.q, p.k, p.v)
    singles = [GoldenAccelerator(TOGETHER).run(p.job.replace(queries=0, causal=0, tokens=n, restart=1),
                                               p.q[:, row:row + 1], p.k[:, :n], p.v[:, :n])
               for row, n in enumerate((p.job.tokens - 1, p.job.tokens))]
    earlier, later = (single.lsb_keys for single in singles)
    assert np.array_equal(block.lsb_keys, np.pad(earlier, ((0, 0), (0, 1))) | later)
    assert not np.array_equal(block.lsb_keys, later)
    assert any(not np.array_equal(block.out[:, row], single.out[:, 0]) for row, single in enumerate(singles))
