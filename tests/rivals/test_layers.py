"""Bytes and operations of layers against counting them one by one."""

import numpy as np
import pytest

from spatten_hw.sim.rivals.benchmarks import benchmarks, gpt2, head_schedule, token_schedule
from spatten_hw.sim.rivals.layers import Layers, joined


def test_a_step_of_generation_counted_by_hand():
    one = Layers.of(generate=1, context=10, model_heads=2, group=3, dim=4, tokens=6, heads=1, keep=2, k_bits=8,
                    k_lsb_bits=4, v_bits=8, q_bits=12, flat=0.5)
    operations = bits_k = bits_v = 0
    for _ in range(1 * 3):                      # query heads alive
        operations += 2 * 4 * 6 + 2 * 4 * 2
    for _ in range(6):
        bits_k += 4 * (8 + 0.5 * 4)
    for _ in range(2):
        bits_v += 4 * 8
    assert one.operations[0] == operations and one.bytes[0] == (3 * 4 * 12 + bits_k + bits_v) / 8
    dense = one.dense(16)
    assert dense.operations[0] == 2 * 3 * 2 * 2 * 4 * 10 and dense.bytes[0] == (6 * 4 + 2 * 2 * 4 * 10) * 2


def test_a_causal_prompt_counted_by_hand():
    prompt = Layers.of(context=5, causal=1, model_heads=2, dim=8)
    assert prompt.operations[0] == 2 * sum(2 * 2 * 8 * keys for keys in range(1, 6))
    assert prompt.bytes[0] == 3 * 2 * 5 * 8 * 12 / 8


def test_joined_keeps_the_order():
    a = joined([Layers.of(context=[1, 2], model_heads=1, dim=4), Layers.of(context=3, model_heads=1, dim=4)])
    assert a.context.tolist() == [1, 2, 3] and a.pick(a.context > 1).context.tolist() == [2, 3]


def test_schedules_reach_their_means():
    for layers in (12, 24):
        share = token_schedule(layers, 1.48, 0.15)
        assert share[:round(0.15 * layers)].min() == 1 and (np.diff(share) <= 0).all()
        assert share.mean() == pytest.approx(1 / 1.48)
        heads = head_schedule(layers, 16, 1.1, 0.3)
        assert heads.sum() == pytest.approx(16 * layers / 1.1, rel=0.03) and heads[0] == 16


def test_there_are_the_papers_thirty():
    found = benchmarks()
    assert len({b.name for b in found}) == len(found) == 30
    assert [b.generates for b in found] == [False] * 22 + [True] * 8
    small = gpt2("gpt2-small", "ptb").layers
    assert len(small) == 32 * 12 and small.context[0] == 993 and small.context[-1] == 1024
    assert (small.keep <= small.tokens).all() and (small.tokens <= small.context).all()
