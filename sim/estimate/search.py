"""What token pruning reads before a job: rows of its passes over the totals (`prune/token_pruning.py`)."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig, clog2

#: Bits of a digit; its values.
DIGIT, VALUES = 4, 16


def search_rows(totals: np.ndarray, ids: np.ndarray, keep: int, protected: np.ndarray,
                config: SpAttenConfig) -> list[int]:
    """Rows that each pass reads until the threshold is found, without the final one. `totals`, `ids`, `protected`
    [n]: importance, number and protection of the tokens alive; 1 ≤ `keep` < n.

    A pass goes over the tokens that were candidates in the pass before, and takes for its own those whose digit was
    the threshold's. The first digit is the magnitude, half the logarithm of a total."""
    c = config
    among = ~protected if protected.sum() < keep else protected
    first = [_rows(ids, c)] * (1 if protected.sum() < keep else 2)
    need = keep - (int(protected.sum()) if protected.sum() < keep else 0)
    totals, ids = totals[among], ids[among]
    lane_bits, row_bits = clog2(c.slices), max(1, clog2(c.max_rows))
    lane_pairs = 2 * -(-lane_bits // 2)
    tie = 2 * -(-row_bits // 2) + lane_pairs
    keys = [(int(t) << tie) | ((~(int(i) >> lane_bits) & ((1 << (tie - lane_pairs)) - 1)) << lane_pairs)
            | (c.slices - 1 - int(i) % c.slices) for t, i in zip(totals, ids, strict=True)]
    key = np.array(keys, dtype=object)
    pairs = -(-c.token_score_bits // 2)
    smallest = max(0, pairs - VALUES)
    digits = np.array([max(0, (int(t).bit_length() + 1) // 2 - 1 - smallest) for t in totals])
    window = -1
    passes = list(first)
    listed = ids
    while True:
        counts = np.array([(digits >= v).sum() for v in range(VALUES + 1)])
        digit = int(np.flatnonzero(counts[:VALUES] >= need)[-1])
        if counts[digit] == need:
            return passes
        need -= int(counts[digit + 1])
        window = 2 * (digit + smallest) + tie - 2 if window < 0 else max(0, window - DIGIT)
        passes.append(_rows(listed, c))
        here = digits == digit
        listed, key = ids[here], key[here]
        ids = listed
        digits = np.array([int(k) >> window & (VALUES - 1) for k in key])


def _rows(ids: np.ndarray, config: SpAttenConfig) -> int:
    """Tokens of the fullest class."""
    return int(np.bincount(ids % config.slices, minlength=1).max(initial=0))
