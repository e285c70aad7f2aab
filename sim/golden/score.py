"""Q×K: exact scores (`spatten_hw.matmul.score`)."""

from __future__ import annotations

import numpy as np

#: float64 holds every integer up to here exactly.
EXACT = 1 << 53


def _largest(a: np.ndarray) -> int:
    """Largest magnitude, as a Python integer (|int64 min| does not fit int64)."""
    return max(abs(int(a.min())), abs(int(a.max()))) if a.size else 0


def exact_matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b of integer arrays, exact: through float64, whose matmul is fast, with every partial sum < 2^53."""
    bound = _largest(a) * _largest(b) * a.shape[-1]
    assert bound < EXACT, f"products of {a.shape[-1]} terms may reach {bound}, beyond float64's integers"
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def scores(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """q [..., nq, D] · k [..., nk, D] -> int64 [..., nq, nk]: exact sums over D of q·k."""
    return exact_matmul(np.asarray(q), np.swapaxes(np.asarray(k), -1, -2))
