"""Positions within the cache: the first tokens follow the window, so that text may go on without end.

Scores depend on how far a query is from a key. The tokens of a window are never farther than the window is long, but
the first tokens, which it keeps as well, would recede for ever, beyond all distances that a model was trained on.
StreamingLLM (arXiv 2309.17453) counts positions within the cache instead. Here that is a few rows per step: the keys of
the first tokens are turned (RoPE) to the positions just before the window, and written again.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.host.quantise import codes_of
from spatten_hw.sim.models.decoder.cache import KvCache, Rows
from spatten_hw.sim.models.llama.model import Llama

from .policy import Eviction


class Sinks:
    """The first tokens of the caches of a policy by age alone; under other policies nothing is turned."""

    def __init__(self, policy: Eviction, cache: KvCache, model: Llama):
        self.first = policy.first if policy.by_age else 0
        self.cache, self.model = cache, model
        self.keys: dict[int, np.ndarray] = {}

    def turned(self, at: int, positions: np.ndarray, seen: int) -> tuple[Rows, ...]:
        """What to write so that the first tokens are just before the window; `positions` [slots], `seen` tokens."""
        ahead = seen - len(positions)
        if not self.first or ahead <= 0:
            return ()
        cache, jobs = self.cache, self.cache.jobs
        if at not in self.keys:
            # The window begins to move: until now slot n had token n, for the first ones.
            self.keys[at] = cache.real["k"][at, :, :self.first].copy()
        keys = self.keys[at]
        folds = 1.0 if jobs.model.folds is None else jobs.model.folds["k"][at][:, None]
        # Rows are folded behind the rotation: [1, n, D] → [n, 1, D] for the model.
        plain = np.swapaxes(keys * folds, 0, 1)
        turned = np.swapaxes(self.model.rotated(plain, np.full(len(plain), ahead)), 0, 1) / folds
        n = turned.shape[1]
        codes = codes_of(turned, jobs.scales["k"][at][:, None, None], jobs.settings.bits["k"])
        cache.real["k"][at, :, :n], cache.codes["k"][at, :, :n] = turned, codes
        return tuple(Rows(jobs.planes[at][part], 0, values, bits)
                     for part, values, bits in jobs.builder.parts(k=codes))
