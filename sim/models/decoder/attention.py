"""What computes the attention of a decoder: the golden model, the hardware checked against it, or float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spatten_hw.host.workload import TOKEN_SCORE_UNIT
from spatten_hw.sim.golden.float_engine import attend, keep_largest, protected_tokens
from spatten_hw.sim.golden.mass import MASS_ONE
from spatten_hw.sim.models.engines import Scored

from .cache import CacheTask


@dataclass(frozen=True)
class PassResult:
    """One layer job in real units: `out` [heads, rows, D], 0 for pruned heads; masks of who took part; the importance
    of tokens and heads after it; query rows over all heads and how many fetched LSBs; what it cost, None where the
    engine has none."""

    out: np.ndarray
    tokens_alive: np.ndarray
    heads_alive: np.ndarray
    token_importance: np.ndarray
    head_importance: np.ndarray
    queries: int
    refetched: int
    bytes: dict[str, int] | None = None
    cycles: int | None = None


#: Computes a layer job; `out_unit` is the real value of an output integer. Keeps the importance from call to call.
Attention = Callable[[CacheTask, float], PassResult]


class IntegerEngine(Protocol):
    """`GoldenEngine` or `HardwareEngine`."""

    def __call__(self, task: CacheTask) -> Scored: ...


def integer_attention(engine: IntegerEngine) -> Attention:
    """Attention on `engine`, its integers made real."""
    def compute(task: CacheTask, out_unit: float) -> PassResult:
        r = engine(task)
        return PassResult(r.out * out_unit, r.tokens_alive, r.heads_alive, r.token_scores * TOKEN_SCORE_UNIT,
                          r.head_scores * out_unit, r.queries, int(r.refetched.sum()), dict(r.bytes),
                          getattr(r, "cycles", None))
    return compute


class FloatAttention:
    """float64 with the jobs' counts and protection, no quantisation, hence no LSBs; state as the accelerator's."""

    def __init__(self) -> None:
        self.token_scores, self.head_scores = np.zeros(0), np.zeros(0)

    def __call__(self, task: CacheTask, out_unit: float) -> PassResult:
        job = task.layer_pass.job
        q, k, v = task.real
        if job.clear_scores:
            self.token_scores, self.head_scores = np.zeros(0), np.zeros(job.heads)
        self.token_scores = np.pad(self.token_scores, (0, job.tokens - len(self.token_scores)))
        if job.restart:
            self.alive, self.heads = np.ones(job.tokens, dtype=bool), np.ones(job.heads, dtype=bool)
        self.alive = keep_largest(self.token_scores, self.alive, job.keep_tokens,
                                  protected_tokens(job.tokens, job.protect_first, job.protect_last))
        self.heads = keep_largest(self.head_scores, self.heads, job.keep_heads)
        ids = np.flatnonzero(self.alive)
        queries = np.arange(job.query_rows) if job.generate else ids
        out = np.zeros(q.shape)
        for head in np.flatnonzero(self.heads):
            for member in range(head * job.group, (head + 1) * job.group):
                values, importance = attend(q[member, queries], k[head, ids], v[head, ids], job.keep_values,
                                            bool(job.causal), job.mass_share / MASS_ONE,
                                            bool(job.give_back))
                self.token_scores[ids] += importance
                self.head_scores[head] += np.abs(values).sum()
                out[member, queries] = values
        return PassResult(out, self.alive, self.heads, self.token_scores.copy(), self.head_scores.copy(),
                          int(self.heads.sum()) * job.group * len(queries), 0)
