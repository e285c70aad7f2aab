"""What jobs have to do, as counts: N of them at a time, every field an array [N]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from spatten_hw.errors import UserError

from .exact import CLASSES, HEADS, counts, searched

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from spatten_hw.config import SpAttenConfig
    from spatten_hw.host.job import LayerJob
    from spatten_hw.sim.golden.layer_result import LayerResult


@dataclass(frozen=True)
class Work:
    """Counts of N jobs. Every field may be given as a scalar, and is an array [N] afterwards.

    A prompt (`generate` 0) has a query for every token alive. `heads`, `group`: K/V heads alive, query heads to each of
    them. `keep`: values that a query uses (mean); `union`: V rows read per K/V head of a generation job (mean: what
    its members keep together), `flat_union`: those of them that flat members keep. `flat`: share of queries that take
    LSBs; `flat_keys`: keys that these have (mean); `flat_heads`: share of K/V heads with such a query; `near`: of the
    keys of these heads, share whose LSBs are read. `by_key`, `by_mass`, `gives_back`: the decision rules in use.
    `k_bits`, `v_bits`: MSB planes.

    `context`, `all_heads`: tokens and K/V heads of the job, alive or not; `tokens_before`, `heads_before`: alive before
    the job prunes. What the cascade adds, 0 or 1: `prunes_tokens`, `prunes_heads`, `loads_state`, `stores_state`
    (survivors), `loads_scores`, `stores_scores` (importance). `continues`: the job goes on with the survivors that the
    accelerator has, and does not restart. `clears`: importance begins at 0. `search_passes`, `search_rows`: passes of
    the search for token pruning before its final one, and rows they read, of which the first one `search_first`; 0: not
    known, what is usual is taken.

    `classes` [N, 64]: tokens alive by id modulo 64, which says how unevenly slices are loaded; NaN: not known, an
    expected spread is used. `flats` [N, 128]: flat queries of every K/V head alive, in order; NaN: not known, heads
    with flat queries are spread evenly. `descriptor_at`, `ids_at`, `scores_at`: addresses of what is read in words,
    modulo 64.
    """

    generate: np.ndarray
    causal: np.ndarray
    tokens: np.ndarray
    context: np.ndarray
    heads: np.ndarray
    group: np.ndarray
    dim: np.ndarray
    q_bits: np.ndarray
    k_bits: np.ndarray
    k_lsb_bits: np.ndarray
    v_bits: np.ndarray
    v_lsb_bits: np.ndarray
    keep: np.ndarray
    flat: np.ndarray
    near: np.ndarray
    union: np.ndarray
    tokens_before: np.ndarray
    heads_before: np.ndarray
    prunes_tokens: np.ndarray
    prunes_heads: np.ndarray
    loads_state: np.ndarray
    stores_state: np.ndarray
    loads_scores: np.ndarray
    stores_scores: np.ndarray
    continues: np.ndarray
    clears: np.ndarray
    search_first: np.ndarray
    search_rows: np.ndarray
    search_passes: np.ndarray
    flat_keys: np.ndarray
    flat_heads: np.ndarray
    flat_union: np.ndarray
    all_heads: np.ndarray
    by_key: np.ndarray
    by_mass: np.ndarray
    gives_back: np.ndarray
    descriptor_at: np.ndarray
    ids_at: np.ndarray
    scores_at: np.ndarray
    classes: np.ndarray
    flats: np.ndarray

    def __post_init__(self) -> None:
        given = {f.name: np.asarray(getattr(self, f.name), dtype=np.float64) for f in fields(self)}
        tables = {"classes": np.atleast_2d(given.pop("classes")), "flats": np.atleast_2d(given.pop("flats"))}
        count = np.broadcast_shapes(*(np.atleast_1d(a).shape for a in given.values()),
                                    *(a.shape[:1] for a in tables.values()))
        for name, array in given.items():
            object.__setattr__(self, name, np.broadcast_to(array, count))
        for name, array in tables.items():
            object.__setattr__(self, name, np.broadcast_to(array, (*count, array.shape[1])))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, which: Any) -> Work:
        """Some of the jobs, by a slice, a mask or numbers."""
        return Work(**{f.name: np.atleast_1d(getattr(self, f.name)[which]) for f in fields(self)})

    def replace(self, **changes: ArrayLike) -> Work:
        """A copy with some fields changed."""
        return Work(**({f.name: getattr(self, f.name) for f in fields(self)} | changes))  # type: ignore[arg-type]

    @classmethod
    def joined(cls, parts: Sequence[Work]) -> Work:
        """The jobs of all parts, in order."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    @property
    def queries(self) -> np.ndarray:
        """Queries of a query head."""
        return np.where(self.generate > 0, 1, self.tokens)

    @property
    def items(self) -> np.ndarray:
        """Work items: queries of all query heads."""
        return self.heads * self.group * self.queries

    @property
    def mean_keys(self) -> np.ndarray:
        """Keys of a query, on average."""
        return np.where((self.causal > 0) & (self.generate == 0), (self.tokens + 1) / 2, self.tokens)

    @classmethod
    def expected(cls, *, tokens: ArrayLike, heads: ArrayLike, dim: ArrayLike, generate: ArrayLike = 1,
                 causal: ArrayLike = 0, group: ArrayLike = 1, q_bits: ArrayLike = 12, k_bits: ArrayLike = 12,
                 k_lsb_bits: ArrayLike = 0, v_bits: ArrayLike | None = None, v_lsb_bits: ArrayLike | None = None,
                 keep_tokens: ArrayLike = 1.0, keep_heads: ArrayLike = 1.0, keep_values: ArrayLike = 1.0,
                 flat: ArrayLike = 0.0, near: ArrayLike | None = None, overlap: ArrayLike = 0.0, by_mass: ArrayLike = 0,
                 gives_back: ArrayLike = 0, prunes_tokens: ArrayLike = 0, prunes_heads: ArrayLike = 0,
                 loads_state: ArrayLike = 0, stores_state: ArrayLike = 0, loads_scores: ArrayLike = 0,
                 stores_scores: ArrayLike = 0, continues: ArrayLike = 0, tokens_before: ArrayLike | None = None,
                 heads_before: ArrayLike | None = None) -> Work:
        """Work from ratios. `tokens`, `heads`: before pruning, of which the shares `keep_tokens`, `keep_heads` are
        alive (rounded up); `keep_values`: share of a query's keys whose values are used (rounded up; with `by_mass` a
        mean). `v_bits`, `v_lsb_bits`: None: those of K. `near`: share of a flat query's keys whose LSBs are read, None:
        all, by row. `overlap`: 0: the queries of a group choose their values independently, 1: all the same ones."""
        a = {name: np.asarray(value, dtype=np.float64) for name, value in {
            "tokens": tokens, "heads": heads, "group": group, "generate": generate, "flat": flat,
            "keep_tokens": keep_tokens, "keep_heads": keep_heads, "keep_values": keep_values}.items()}
        alive = np.maximum(1, np.ceil(np.round(a["tokens"] * a["keep_tokens"], 6)))
        heads_alive = np.maximum(1, np.ceil(np.round(a["heads"] * a["keep_heads"], 6)))
        keys = np.where((np.asarray(causal) > 0) & (a["generate"] == 0), (alive + 1) / 2, alive)
        share = a["keep_values"]
        keep = np.where(np.asarray(by_mass) > 0, np.maximum(1, keys * share),
                        np.maximum(1, np.ceil(np.round(keys * share, 6))))
        # Of what one member keeps, the part that all keep alike, and the rest by chance.
        alike = np.asarray(overlap, dtype=np.float64)
        missed = np.clip(1 - keep / keys, 0, 1)
        union = keys * (alike * (1 - missed) + (1 - alike) * (1 - missed ** a["group"]))
        flat_members = np.maximum(a["flat"] * a["group"], 0)
        flat_union = keys * (alike * (1 - missed) * np.minimum(1, flat_members)
                             + (1 - alike) * (1 - (1 - (1 - missed) * a["flat"]) ** a["group"]))
        queries = np.where(a["generate"] > 0, 1, alive)
        prompt = a["generate"] == 0
        values: dict[str, Any] = {
            "generate": a["generate"], "causal": np.where(prompt, causal, 0), "tokens": alive, "context": a["tokens"],
            "heads": heads_alive, "group": a["group"], "dim": dim, "q_bits": q_bits, "k_bits": k_bits,
            "k_lsb_bits": k_lsb_bits, "v_bits": k_bits if v_bits is None else v_bits,
            "v_lsb_bits": k_lsb_bits if v_lsb_bits is None else v_lsb_bits, "keep": keep, "flat": a["flat"],
            "near": 1.0 if near is None else near, "union": union,
            "tokens_before": a["tokens"] if tokens_before is None else tokens_before,
            "heads_before": a["heads"] if heads_before is None else heads_before, "prunes_tokens": prunes_tokens,
            "prunes_heads": prunes_heads, "loads_state": loads_state, "stores_state": stores_state,
            "loads_scores": loads_scores, "stores_scores": stores_scores, "continues": continues, "clears": 0,
            "search_first": 0, "search_rows": 0, "search_passes": 0,
            # The more keys, the flatter.
            "flat_keys": np.where(prompt & (np.asarray(causal) > 0), alive * (1 - a["flat"] / 2), alive),
            "flat_heads": 1 - (1 - a["flat"]) ** (a["group"] * queries), "flat_union": flat_union,
            "all_heads": a["heads"], "by_key": 0 if near is None else 1, "by_mass": by_mass, "gives_back": gives_back,
            "descriptor_at": 0, "ids_at": 0, "scores_at": 0, "classes": np.full(CLASSES, np.nan),
            "flats": np.full(HEADS, np.nan)}
        return cls(**values)

    @classmethod
    def of_jobs(cls, jobs: Sequence[LayerJob], results: Sequence[LayerResult],
                descriptors: Sequence[int] | None = None, config: SpAttenConfig | None = None) -> Work:
        """Exact counts of jobs that left these results on the golden model, one after the other. `descriptors`: their
        addresses (default: of a whole beat each); `config`: the build, to know what token pruning reads. Raises
        `UserError` for generation jobs of several queries, which the model does not know."""
        at = descriptors if descriptors is not None else [0] * len(jobs)
        before: LayerResult | None = None
        rows = []
        for job, result, address in zip(jobs, results, at, strict=True):
            if job.generate and job.queries > 1:
                raise UserError(f"a generation job has {job.queries} queries: the model knows jobs of one; "
                                "measure it in simulation")
            rows.append(counts(job, result, before, address) | searched(job, result, before, config))
            before = result
        return cls(**{name: np.array([row[name] for row in rows]) for name in rows[0]})

