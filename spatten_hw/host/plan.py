"""From a workload to layer jobs: every address, scale and flag settled before anything is written.

One `LayerPass` per layer (and generation step), in order. Golden model and hardware run the same passes, so
that even the bytes, which depend on alignment, can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..config import SpAttenConfig
from .builder import JobBuilder, Planes
from .job import LayerJob
from .layout import Arena, Plane, Write
from .workload import TOKEN_SCORE_UNIT, Workload, check_build
from .workload.options import WorkloadError


@dataclass(frozen=True)
class LayerPass:
    """One layer job with its operands (integers): q [query_heads, rows, D], k, v [kv_heads, tokens, D].

    `descriptor` is the address of its descriptor, `out` its output plane. `scores`: (token, head) importance
    integers to load before it. `new_token`: (id, score) of a token of this step that starts with a score of its
    own; it joins the scores which the pass before has stored, and all are loaded again. Of several new tokens: the
    first id, and the scores of all. `ids`: the 64-bit words to put at `ids_in` before it, for a job that loads its
    survivors. `label`: what to call it, if not by step and layer.
    """

    step: int
    layer: int
    job: LayerJob
    descriptor: int
    out: Plane
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    scores: tuple[np.ndarray, np.ndarray] | None = None
    new_token: tuple[int, int | tuple[int, ...]] | None = None
    ids: np.ndarray | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        if self.label:
            return self.label
        return f"step {self.step}, layer {self.layer}" if self.job.generate else f"layer {self.layer}"


class Passes(Protocol):
    """What `Driver.run_layers` and the golden model run: a `Plan`, or jobs made otherwise."""

    @property
    def passes(self) -> Sequence[LayerPass]:
        """The passes in the order in which they run."""

    def layer_data(self, layer: int, /) -> Iterator[Write]:
        """What to put into memory before the first pass (step 0) of `layer`."""

    def scores_to_load(self, p: LayerPass, stored: np.ndarray | None, /) -> np.ndarray | None:
        """The 64-bit words to put at scores_in before pass `p`, given what the pass before stored."""


class Plan:
    """All passes of a workload on one build, in memory from `base` on or where `arena` puts them. Raises
    `WorkloadError` or `JobRefused`; writes nothing."""

    def __init__(self, w: Workload, config: SpAttenConfig, base: int = 0, arena: Arena | None = None):
        check_build(w, config)
        self.workload = w
        self.config = config
        self.arena = Arena(config, base) if arena is None else arena
        self.initial_tokens, self.initial_heads = self._initial_scores()
        self.builder = JobBuilder(config, w.shape.layer, w.options.precision, self.arena)
        self.scores_address = self.builder.scores(w.shape.tokens)
        self.planes = [self._planes() for _ in range(w.shape.layers)]
        self.passes = [self._pass(step, layer) for step in range(w.steps) for layer in range(w.shape.layers)]

    # -- scores to start from -------------------------------------------------------------------------

    def _initial_scores(self) -> tuple[np.ndarray, np.ndarray]:
        w, c = self.workload, self.config
        result = []
        for name, given, count, unit, bits in (
                ("token_scores", w.token_scores, w.shape.tokens, TOKEN_SCORE_UNIT, c.token_score_bits),
                ("head_scores", w.head_scores, w.shape.kv_heads, w.out_unit, c.head_score_bits)):
            values = np.zeros(count) if given is None else np.rint(given / unit)
            if np.any(values >= 2.0 ** min(bits, 62)):
                raise WorkloadError(w.source, name, f"exceeds the {bits} bits of an importance score",
                                    "scale the scores down")
            result.append(values.astype(np.int64))
        return result[0], result[1]

    def _scores_to_start(self, step: int) -> tuple[tuple[np.ndarray, np.ndarray] | None,
                                                   tuple[int, int | tuple[int, ...]] | None]:
        """What the first layer of `step` loads: everything, the new tokens' scores, or nothing."""
        w = self.workload
        now = w.tokens_at(step)
        if step == 0:
            if w.token_scores is None and w.head_scores is None:
                return None, None
            return (self.initial_tokens[:now], self.initial_heads), None
        before = w.tokens_at(step - 1)
        if self.initial_tokens[before:now].any():
            return None, (before, tuple(self.initial_tokens[before:now].tolist()))
        return None, None

    def scores_to_load(self, p: LayerPass, stored: np.ndarray | None) -> np.ndarray | None:
        """The 64-bit words to put at scores_in before pass `p`, given what the pass before stored."""
        if p.scores is not None:
            return np.concatenate(p.scores).astype(np.uint64)
        if p.new_token is None:
            return None
        if stored is None:
            raise ValueError("the pass before stored no scores")
        heads = self.workload.shape.kv_heads
        new = np.atleast_1d(np.asarray(p.new_token[1], dtype=np.uint64))
        return np.concatenate([stored[:-heads], new, stored[-heads:]]).astype(np.uint64)

    # -- operands -------------------------------------------------------------------------------------

    def _planes(self) -> Planes:
        """Q rows of all queries, K and V rows of all tokens of a layer."""
        w = self.workload
        single = w.options.generate and w.options.queries is None
        rows = w.shape.queries if single or not w.options.generate else w.steps * self._step_rows()
        return {"q": self.builder.query_plane(rows, steps=single),
                **self.builder.key_value_planes(w.shape.tokens)}

    def _step_rows(self) -> int:
        """Rows from one step's queries to the next one's in their plane: whole rounds of the channels."""
        return -(-self.workload.options.per_job // self.config.channels) * self.config.channels

    def layer_data(self, layer: int) -> Iterator[Write]:
        """A layer's Q, K and V planes."""
        yield from self.builder.images(self.planes[layer], **self.plane_codes(layer))

    def plane_codes(self, layer: int) -> dict[str, np.ndarray]:
        """The integers of a layer's planes, in the order of their rows."""
        codes = self.codes(layer)
        if self.workload.options.queries is not None:
            q, rows = codes["q"], self._step_rows()
            codes["q"] = np.zeros((len(q), self.workload.steps * rows, q.shape[2]), dtype=q.dtype)
            for step in range(self.workload.steps):
                own = q[:, self.workload.rows(step)]
                codes["q"][:, step * rows:step * rows + own.shape[1]] = own
        return codes

    def codes(self, layer: int) -> dict[str, np.ndarray]:
        """The integers "q", "k", "v" of a layer."""
        return {name: self.workload.codes[name][layer] for name in ("q", "k", "v")}

    # -- jobs -----------------------------------------------------------------------------------------

    def _pass(self, step: int, layer: int) -> LayerPass:
        w, builder = self.workload, self.builder
        s, o, codes = w.shape, w.options, self.codes(layer)
        tokens = w.tokens_at(step)
        first, last = layer == 0, step == w.steps - 1 and layer == s.layers - 1
        scores, new_token = self._scores_to_start(step) if first else (None, None)
        # The next step can only add its token's initial score to scores that were stored.
        stored = last or (layer == s.layers - 1 and self._scores_to_start(step + 1)[1] is not None)
        rows = w.rows(step)
        planes = dict(self.planes[layer], out=builder.out_plane(rows.stop - rows.start))
        queries = {}
        if o.queries is not None:
            planes["q"] = planes["q"].tokens_from(step * self._step_rows())
            queries = {"queries": rows.stop - rows.start, "causal": 1}
        elif o.generate:
            planes["q"] = planes["q"].step(step)
        ids, descriptor = builder.ids(tokens), builder.descriptor()
        scales = builder.scales({name: w.scales[name][layer] for name in codes}, w.out_unit)
        job = builder.job(
            planes, tokens, scales, descriptor,
            keep_tokens=o.keep_tokens[step][layer], keep_heads=o.keep_heads[step][layer],
            keep_values=o.keep_values[step][layer], generate=int(o.generate),
            **({"causal": int(o.causal and not o.generate)} | queries),
            restart=int(first), clear_scores=int(first and step == 0 and scores is None),
            load_scores=int(scores is not None or new_token is not None),
            store_ids=1, store_scores=int(stored), protect_first=min(o.protect_first, tokens),
            protect_last=min(o.protect_last, tokens), ids_out=ids,
            scores_in=self.scores_address, scores_out=self.scores_address)
        return LayerPass(step, layer, job, descriptor, planes["out"], codes["q"][:, rows], codes["k"][:, :tokens],
                         codes["v"][:, :tokens], scores, new_token)
