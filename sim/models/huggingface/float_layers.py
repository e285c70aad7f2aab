"""The layers of one sequence in float64: the accelerator's control path without quantisation."""

from __future__ import annotations

import numpy as np

from spatten_hw.host.results import LayerStats
from spatten_hw.sim.golden.float_engine import attention_probabilities, keep_largest, protected_tokens, weigh
from spatten_hw.sim.golden.mass import MASS_ONE

from .options import AttentionOptions, Sizes
from .task import LayerOutcome, LayerTask


class FloatLayers:
    """Importance and survivors of one sequence, and its layers one by one."""

    def __init__(self, sizes: Sizes, options: AttentionOptions):
        self.sizes, self.options = sizes, options
        self.token_scores = np.zeros(0)
        self.head_scores = np.zeros(sizes.kv_heads)
        self.stepping = False
        self.value_peak = 0.0
        self.out_unit = 0.0

    def begin(self, tokens: int, new: bool, before: int = 0, apart: bool = False) -> bool:
        """A pass over `tokens` tokens, `before` of which were there: all are alive again; a `new` sequence has no
        importance yet. Whether a segment begins: with the prompt and with the first step, where tokens were given up,
        and with what must be `apart`."""
        begins = new or not self.stepping or apart or before < len(self.token_scores)
        self.stepping = not new
        if new:
            self.head_scores = np.zeros(self.sizes.kv_heads)
        known = np.zeros(0) if new else self.token_scores[:before]
        self.token_scores = np.concatenate([known, np.zeros(tokens - len(known))])
        self.tokens = np.ones(tokens, dtype=bool)
        self.heads = np.ones(self.sizes.kv_heads, dtype=bool)
        return begins

    def run(self, task: LayerTask) -> LayerOutcome:
        """One layer."""
        o, s = self.options, self.sizes
        tokens, heads, values = task.keep
        self.tokens = keep_largest(self.token_scores, self.tokens, tokens,
                                   protected_tokens(task.tokens, o.protect_first, o.protected_last(task.queries)))
        self.heads = keep_largest(self.head_scores, self.heads, heads)
        ids = np.flatnonzero(self.tokens)
        rows = np.arange(task.queries) if task.generate else ids
        out = np.zeros((s.query_heads, task.q.shape[1], s.dim))
        for head in np.flatnonzero(np.repeat(self.heads, s.group)).tolist():
            kv = head // s.group
            probs = attention_probabilities(task.q[head, rows], task.k[kv, ids], task.causal)
            self.token_scores[ids] += probs.sum(axis=0)
            out[head, rows] = weigh(probs, task.v[kv, ids], values, task.causal, o.rules.mass_share / MASS_ONE,
                                    o.rules.give_back)
            self.head_scores[kv] += np.abs(out[head, rows]).sum()
        self.value_peak = max(self.value_peak, float(np.max(np.abs(task.v[:, ids]))))
        alive = int(self.heads.sum())
        stats = LayerStats(task.step, task.layer, len(ids), alive, alive * s.group * len(rows), 0)
        return LayerOutcome(out, self.tokens.copy(), self.heads.copy(), stats,
                            {"q": task.q, "k": task.k, "v": task.v})
