"""A whole workload on the golden accelerator: all passes of a plan, and integers made real again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.plan import LayerPass, Passes, Plan
from spatten_hw.host.results import LayerStats, Outputs
from spatten_hw.host.workload import TOKEN_SCORE_UNIT

from .accelerator import GoldenAccelerator
from .layer_result import LayerResult

#: Called with (passes done, passes in all, what is being done).
Progress = Callable[[int, int, str], None]


@dataclass
class GoldenRun:
    """Outputs in real units and what every pass left behind, bit for bit."""

    outputs: Outputs
    results: list[LayerResult]


def run_golden(plan: Plan, progress: Progress | None = None) -> GoldenRun:
    """All passes of a plan on the golden model."""
    outputs = Outputs.empty(plan.workload)
    results = golden_results(plan, plan.config, progress)
    for p, r in zip(plan.passes, results, strict=True):
        put(outputs, plan, p, r)
    put_scores(outputs, plan, results[-1].scores)
    return GoldenRun(outputs, results)


def golden_results(plan: Passes, config: SpAttenConfig, progress: Progress | None = None) -> list[LayerResult]:
    """What every pass leaves behind on a golden accelerator fresh from reset, bit for bit."""
    accelerator = GoldenAccelerator(config)
    results: list[LayerResult] = []
    for i, p in enumerate(plan.passes):
        if progress is not None:
            progress(i, len(plan.passes), f"golden model, {p.name}")
        words = plan.scores_to_load(p, results[-1].scores if results else None)
        results.append(accelerator.run(p.job, p.q, p.k, p.v, descriptor=p.descriptor, ids_in=p.ids, scores_in=words))
    return results


def put(outputs: Outputs, plan: Plan, p: LayerPass, r: LayerResult, cycles: int | None = None) -> None:
    """Adds a pass's results, integers made real, to `outputs`."""
    stats = LayerStats(p.step, p.layer, int(r.tokens_alive.sum()), int(r.heads_alive.sum()), r.queries,
                       int(r.refetched.sum()), cycles, dict(r.bytes))
    outputs.put(stats, r.out * plan.workload.out_unit, r.refetched, r.tokens_alive, r.heads_alive,
                *_real(plan, r.token_scores, r.head_scores))


def put_scores(outputs: Outputs, plan: Plan, words: np.ndarray | None) -> None:
    """Final importance from the words the last job stored; tokens it did not have keep what they started with."""
    assert words is not None, "the last job of a plan stores the scores"
    tokens = plan.passes[-1].job.tokens
    outputs.token_scores[:], outputs.head_scores[:] = _real(plan, words[:tokens].astype(np.int64), words[tokens:])


def _real(plan: Plan, tokens: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Importance in real units, of all tokens and heads, from the integers of the tokens and heads that a job has."""
    codes = plan.initial_tokens.copy()
    codes[:len(tokens)] = tokens
    return codes * TOKEN_SCORE_UNIT, heads.astype(np.float64) * plan.workload.out_unit
