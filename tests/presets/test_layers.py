"""Layers of both stages: every head dimension, mask, group and width that a preset has, equal to the golden model."""

import pytest

from spatten_hw.config import PLANE_WIDTHS

from ..integration.builds import bit_settings
from .workloads import check, operands

#: Steps of generation, or a prompt.
STAGES = {"prompt": None, "generation": 2}


@pytest.mark.parametrize("stage", STAGES)
def test_every_head_dimension(config, stage):
    """All dims, with as many tokens that rows are full and a last row is not."""
    for dim in config.dims:
        result = check(config, operands(config, dim, dim=dim, tokens=max(5, 2 * config.slices + 1),
                                        queries=STAGES[stage]))
        assert {layer.heads for layer in result.outputs.layers} == {2}
        assert result.outputs.out.shape[-1] == dim


@pytest.mark.parametrize("stage", STAGES)
def test_fewest_and_uneven_tokens(config, stage):
    """One token alone; one more and one less than a row of lanes holds; one more than a row of top-k."""
    for tokens in sorted({1, 2, max(1, config.lanes - 1), config.lanes + 1, config.topk_lanes + 1}):
        queries = STAGES[stage] and min(STAGES[stage], max(1, tokens - 1))
        result = check(config, operands(config, tokens, heads=1, tokens=tokens, queries=queries),
                       stage="generate" if queries else "summarise", keep_values=max(1, tokens - 1))
        assert result.outputs.layers[-1].tokens == tokens


@pytest.mark.parametrize("mask", ["none", "causal", 5], ids=["none", "causal", "padding"])
def test_masks(config, mask):
    """Over a prompt: what a query does not see is neither fetched nor weighed."""
    dense = check(config, operands(config, 2, tokens=9), keep_values=4)
    masked = check(config, operands(config, 2, tokens=9), mask=mask, keep_values=4)
    same = (masked.outputs.out == dense.outputs.out).all()
    assert same == (mask == "none")
    assert masked.outputs.layers[0].tokens == (5 if mask == 5 else 9)
    if mask == 5:
        assert masked.bytes["k_msb"] < dense.bytes["k_msb"]


@pytest.mark.parametrize("stage", STAGES)
def test_grouped_queries(config, stage):
    """1, 2 and max_group query heads on a K/V head: K is read once for all of them."""
    read = {}
    for group in sorted({1, 2, config.max_group}):
        result = check(config, operands(config, 7, layers=1, group=group, tokens=6, queries=STAGES[stage]),
                       keep_values=3)
        assert result.outputs.out.shape[1] == 2 * group
        read[group] = result.bytes["k_msb"]
    assert len(read) > 1 and len(set(read.values())) == 1


def test_every_width_of_keys_and_values(config):
    """4+4 … 12+4 as far as operands go, and static ones; rows are as long as their width says."""
    settings = {tuple(bits) for bits in bit_settings(config)}
    assert {(4, 4), (8, 4), (8, 0), (12, 0)} <= settings
    ordered = sorted(settings)
    for seed, (k_bits, v_bits) in enumerate(zip(ordered, ordered[1:] + ordered[:1], strict=True)):
        result = check(config, operands(config, seed, layers=1, tokens=7, spread=0.5), k_bits=list(k_bits),
                       v_bits=list(v_bits), threshold=0.3 if k_bits[1] else 0.0)
        assert bool(result.bytes["k_lsb"]) == bool(k_bits[1])


@pytest.mark.parametrize("stage", STAGES)
def test_every_width_of_queries(config, stage):
    for bits in PLANE_WIDTHS:
        if bits <= config.operand_bits:
            check(config, operands(config, bits, layers=1, tokens=5, queries=STAGES[stage]), q_bits=bits)
