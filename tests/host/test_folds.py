"""Factors by channel: attention stays what it is, and outlier channels no longer cost the others their bits."""

from __future__ import annotations

import numpy as np

from spatten_hw.host.folds import LEAST, Folds, channel_factors
from spatten_hw.host.quantise import quantise
from spatten_hw.sim.golden.float_engine import attend
from tests.seeds import numbers


def operands():
    rng = numbers("folds")
    q, k, v = rng.standard_normal((4, 6, 8)), rng.standard_normal((2, 6, 8)), rng.standard_normal((2, 6, 8))
    k[:, :, 3] *= 40
    v[0, :, 1] *= 9
    return q, k, v


def outputs(q, k, v):
    return np.stack([attend(q[h], k[h // 2], v[h // 2], None, True)[0] for h in range(4)])


def test_attention_stays_what_it_is():
    q, k, v = operands()
    folds = Folds.of(k, v)
    assert np.allclose(folds.multiplied(outputs(*folds.divided(q, k, v))), outputs(q, k, v), atol=1e-12)


def test_an_outlier_costs_the_others_no_bits():
    q, k, v = operands()
    folds = Folds.of(k, v)
    plain = np.multiply(*[x if i == 0 else x[:, None, None] for i, x in enumerate(quantise(k, 6))])
    divided = folds.divided(q, k, v)[1]
    codes, scale = quantise(divided, 6)
    folded = codes * scale[:, None, None] * folds.k[:, None]
    others = np.arange(8) != 3
    assert np.abs(folded - k)[:, :, others].max() < np.abs(plain - k)[:, :, others].max() / 8


def test_factors_end():
    """A channel of zeros keeps a part of the range, a head of zeros stays as it is."""
    rows = np.zeros((2, 3, 4))
    rows[0, :, 0] = 5.0
    assert channel_factors(rows).tolist() == [[1.0, LEAST, LEAST, LEAST], [1.0] * 4]
