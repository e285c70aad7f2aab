"""When the parts of a layer have happened: what the two models of a layer give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layer:
    """Cycles [N] from the job's start: `left`: the last sums have left for the requantiser; `first_probs`, `probs`:
    the first and the last probabilities are there; `values`: the last rows of V have come (generation); `kept`: the
    class lists have been read (generation); the last vector's first row with kept bits (prompts)."""

    left: np.ndarray
    first_probs: np.ndarray
    probs: np.ndarray
    values: np.ndarray
    kept: np.ndarray
