"""What one job had to do, counted from what it left on the golden model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .search import search_rows

if TYPE_CHECKING:
    from spatten_hw.config import SpAttenConfig
    from spatten_hw.host.job import LayerJob
    from spatten_hw.sim.golden.layer_result import LayerResult

#: Tokens are counted by their id modulo this, the most slices that a build has.
CLASSES = 64
#: K/V heads of a job at most (`SpAttenConfig.max_heads`).
HEADS = 128
#: Addresses of words matter modulo this many bytes, the longest beat.
LONGEST_BEAT = 64


def counts(job: LayerJob, result: LayerResult, before: LayerResult | None, descriptor: int) -> dict[str, Any]:
    """The fields of one job; `before`: what the job before it left, whose survivors it may go on with."""
    tokens, heads = int(result.tokens_alive.sum()), int(result.heads_alive.sum())
    were_tokens, were_heads = (_alive(before, job, what, result) for what in ("tokens", "heads"))
    items = max(1, result.queries)
    flat = int(result.refetched.sum())
    of_heads = result.refetched.reshape(job.heads, -1).any(axis=1)
    flat_heads = int(of_heads.sum())
    listed = int(result.lsb_keys.sum())
    union = result.rows["v_msb"] / heads
    return {
        "generate": job.generate, "causal": int(job.causal and not job.generate), "tokens": tokens,
        "context": job.tokens, "heads": heads, "group": job.group, "dim": job.dim, "q_bits": job.q_bits,
        "k_bits": job.k_msb, "k_lsb_bits": job.k_lsb, "v_bits": job.v_msb, "v_lsb_bits": job.v_lsb,
        "keep": float(result.kept.sum()) / items, "flat": flat / items,
        "near": listed / (flat_heads * tokens) if flat_heads else 1.0, "union": union,
        "tokens_before": were_tokens, "heads_before": were_heads, "prunes_tokens": int(tokens < were_tokens),
        "prunes_heads": int(heads < were_heads),
        "loads_state": job.load_ids, "stores_state": job.store_ids, "loads_scores": job.load_scores,
        "stores_scores": job.store_scores, "continues": int(not job.restart and not job.load_ids),
        "flat_keys": _flat_keys(job, result) if flat else tokens, "clears": job.clear_scores,
        "flat_heads": flat_heads / heads, "flat_union": result.rows["v_lsb"] / heads, "all_heads": job.heads,
        "by_key": job.lsb_by_key, "by_mass": int(job.mass_share > 0), "gives_back": job.give_back,
        "descriptor_at": descriptor % LONGEST_BEAT, "ids_at": job.ids_in % LONGEST_BEAT,
        "scores_at": job.scores_in % LONGEST_BEAT,
        "classes": np.bincount(np.flatnonzero(result.tokens_alive) % CLASSES, minlength=CLASSES),
        "flats": np.pad(result.refetched.reshape(job.heads, -1).sum(axis=1)[result.heads_alive].astype(float),
                        (0, HEADS - heads), constant_values=np.nan),
    }


def _flat_keys(job: LayerJob, result: LayerResult) -> float:
    """Keys of the queries that took LSBs, on average."""
    if job.generate or not job.causal:
        return float(result.tokens_alive.sum())
    keys = np.cumsum(result.tokens_alive)
    return float((result.refetched * keys).sum() / result.refetched.sum())


def _alive(before: LayerResult | None, job: LayerJob, what: str, result: LayerResult) -> int:
    """Tokens or heads alive before the job prunes. Of loaded survivors it is not known how many there were: as many as
    the job keeps, if it prunes."""
    if job.restart:
        return int(getattr(job, what))
    if before is None or job.load_ids:
        return int(getattr(result, f"{what}_alive").sum())
    return int(getattr(before, f"{what}_alive").sum()) + max(0, _new(job, before) if what == "tokens" else 0)


def _new(job: LayerJob, before: LayerResult) -> int:
    """Tokens that a job has beyond those of the one before."""
    return job.tokens - len(before.tokens_alive)


def searched(job: LayerJob, result: LayerResult, before: LayerResult | None,
              config: SpAttenConfig | None) -> dict[str, int]:
    """What token pruning reads before the job, where importance and survivors are those that the job before left."""
    unknown = {"search_first": 0, "search_rows": 0, "search_passes": 0}
    keep = int(result.tokens_alive.sum())
    known = job.clear_scores or (before is not None and not job.load_scores)
    if config is None or job.load_ids or not known or keep >= _alive(before, job, "tokens", result):
        return unknown
    ids = np.arange(job.tokens)
    if not job.restart and before is not None:
        ids = np.flatnonzero(np.pad(before.tokens_alive, (0, max(0, _new(job, before))), constant_values=True))
    totals = np.zeros(job.tokens, dtype=np.int64)
    if not job.clear_scores and before is not None:
        kept = before.token_scores[:job.tokens]
        totals[:len(kept)] = kept
    protected = (ids < job.protect_first) | (ids >= job.tokens - job.protect_last)
    passes = search_rows(totals[ids], ids, keep, protected, config)
    return {"search_first": passes[0], "search_rows": sum(passes), "search_passes": len(passes)}
