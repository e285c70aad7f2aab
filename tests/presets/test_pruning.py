"""All prunings of a preset, one by one and together, and rows that fetch their LSBs."""

import pytest

from .workloads import check, operands

TOKENS = 14
STAGES = {"prompt": None, "generation": 3}


def start(queries: int | None) -> int:
    """Tokens of the first pass."""
    return TOKENS if queries is None else TOKENS - queries + 1


@pytest.mark.parametrize("stage", STAGES)
def test_tokens(config, stage):
    """A cascade over three layers: later ones fetch less. The ends are protected."""
    n = start(STAGES[stage])
    result = check(config, operands(config, 1, layers=3, tokens=TOKENS, queries=STAGES[stage]),
                   keep_tokens=[n, n - 4, n - 8], protect_first=1, protect_last=2)
    alive = [layer.tokens for layer in result.outputs.layers[:3]]
    assert alive == [n, n - 4, n - 8]
    kept = result.outputs.step_token_kept[0, 2]
    assert kept[0] and kept[n - 2:n].all() and kept.sum() == n - 8


@pytest.mark.parametrize("stage", STAGES)
def test_heads(config, stage):
    result = check(config, operands(config, 2, layers=3, heads=4, tokens=6, queries=STAGES[stage]),
                   keep_heads=[4, 3, 1])
    assert [layer.heads for layer in result.outputs.layers[:3]] == [4, 3, 1]


def test_all_heads_but_one(config):
    """They go one by one, each after a look at all others: of 128 heads this takes longer than other units may stand
    still, and is no hang."""
    heads = config.max_heads
    result = check(config, operands(config, 4, heads=heads, tokens=3, queries=1), keep_heads=[heads, 1])
    assert [layer.heads for layer in result.outputs.layers[:2]] == [heads, 1]


@pytest.mark.parametrize("stage", STAGES)
def test_heads_of_groups(config, stage):
    """A K/V head goes with all of its query heads."""
    result = check(config, operands(config, 3, heads=3, group=config.max_group, tokens=4, queries=STAGES[stage]),
                   keep_heads=[3, 2])
    written = result.outputs.out[1].reshape(3, config.max_group, -1).any(axis=2)
    assert written.all(axis=1).sum() == 2 and not written.any(axis=1).all()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kept", [1, 3])
def test_values(config, stage, kept):
    arrays = operands(config, 4, tokens=TOKENS, queries=STAGES[stage])
    dense, pruned = check(config, arrays), check(config, arrays, keep_values=kept)
    assert (dense.outputs.out != pruned.outputs.out).any()
    if STAGES[stage]:
        assert pruned.bytes["v_msb"] < dense.bytes["v_msb"]


@pytest.mark.parametrize("stage", STAGES)
def test_all_at_once(config, stage):
    """Tokens, heads and values, with LSBs for flat rows, over groups."""
    n = start(STAGES[stage])
    result = check(config, operands(config, 5, layers=3, heads=3, group=2, tokens=TOKENS, queries=STAGES[stage],
                                    spread=0.5),
                   k_bits=[6, 4], v_bits=[6, 4], threshold=0.3, keep_tokens=[n, n - 3, n - 6], keep_heads=[3, 2, 2],
                   keep_values=[n - 2, 5, 3])
    assert sum(layer.refetched for layer in result.outputs.layers) > 0
    assert (result.outputs.layers[2].tokens, result.outputs.layers[2].heads) == (n - 6, 2)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("threshold", [0.0, 0.25, 1.0])
def test_flat_rows_are_computed_again_with_lsbs(config, stage, threshold):
    """None, some, all of them."""
    result = check(config, operands(config, 6, tokens=8, queries=STAGES[stage], spread=0.35), k_bits=[6, 4],
                   v_bits=[4, 4], threshold=threshold)
    again, rows = result.outputs.refetched.sum(), result.outputs.refetched.size
    assert again == {0.0: 0, 1.0: rows}.get(threshold, again)
    assert threshold != 0.25 or 0 < again < rows, (again, rows)
    assert bool(result.bytes["k_lsb"]) == bool(result.bytes["v_lsb"]) == (again > 0)
