"""From a workload to layer jobs: every address, scale and flag settled before anything is written.

One `LayerPass` per layer (and generation step), in order. Golden model and hardware run the same passes, so
that even the bytes, which depend on alignment, can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..config import PROB_BITS, SpAttenConfig
from .job import HeadScale, LayerJob, check, descriptor_bytes
from .layout import WORD_BYTES, Arena, Plane, pack_rows, pairs_save, row_bytes
from .quantise import split
from .scales import out_scale, score_scale
from .workload import TOKEN_SCORE_UNIT, Workload, check_build
from .workload.options import WorkloadError

Write = tuple[int, np.ndarray]


@dataclass(frozen=True)
class LayerPlanes:
    """The planes of one layer: Q rows of all queries, K and V rows of all tokens."""

    q: Plane
    k_msb: Plane
    k_lsb: Plane | None
    v_msb: Plane
    v_lsb: Plane | None


@dataclass(frozen=True)
class LayerPass:
    """One layer job with its operands (integers): q [query_heads, rows, D], k, v [kv_heads, tokens, D].

    `descriptor` is the address of its descriptor, `out` its output plane. `scores`: (token, head) importance
    integers to load before it. `new_token`: (id, score) of a token of this step that starts with a score of its
    own; it joins the scores which the pass before has stored, and all are loaded again. `ids`: the 64-bit words to
    put at `ids_in` before it, for a job that loads its survivors. `label`: what to call it, if not by step and layer.
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
    new_token: tuple[int, int] | None = None
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
        """In the order in which they run."""

    def layer_data(self, layer: int, /) -> Iterator[Write]:
        """(address, bytes) to put into memory before the first pass (step 0) of `layer`."""

    def scores_to_load(self, p: LayerPass, stored: np.ndarray | None, /) -> np.ndarray | None:
        """The 64-bit words to put at scores_in before pass `p`, given what the pass before stored."""


def head_scale(q: float, k: float, v: float, dim: int, out_unit: float) -> HeadScale:
    """The scale-table entry of a query head: `q`, `k`, `v` are the real values of one unit of its operands,
    `out_unit` that of its output. Scores are scaled by 1/sqrt(dim)."""
    mant, pre, post = score_scale(q * k * math.log2(math.e) / math.sqrt(dim))
    out_mant, shift = out_scale(v / ((1 << PROB_BITS) * out_unit))
    return HeadScale(mant, pre, post, out_mant, shift)


class Plan:
    """All passes of a workload on one build, in memory from `base` on or where `arena` puts them. Raises
    `WorkloadError` or `JobRefused`; writes nothing."""

    def __init__(self, w: Workload, config: SpAttenConfig, base: int = 0, arena: Arena | None = None):
        check_build(w, config)
        self.workload = w
        self.config = config
        self.arena = Arena(config, base) if arena is None else arena
        self.initial_tokens, self.initial_heads = self._initial_scores()
        tokens, heads = w.shape.tokens, w.shape.kv_heads
        self.scores_address = self.arena.alloc(WORD_BYTES * (tokens + heads))
        self.planes = [self._planes() for _ in range(w.shape.layers)]
        self.passes = [self._pass(step, layer) for step in range(w.steps) for layer in range(w.shape.layers)]
        for p in self.passes:
            check(p.job, config, p.descriptor)

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
                                                   tuple[int, int] | None]:
        """What the first layer of `step` loads: everything, one new token's score, or nothing."""
        w = self.workload
        now = w.tokens_at(step)
        if step == 0:
            if w.token_scores is None and w.head_scores is None:
                return None, None
            return (self.initial_tokens[:now], self.initial_heads), None
        if now > w.tokens_at(step - 1) and self.initial_tokens[now - 1]:
            return None, (now - 1, int(self.initial_tokens[now - 1]))
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
        return np.concatenate([stored[:-heads], [np.uint64(p.new_token[1])], stored[-heads:]]).astype(np.uint64)

    # -- addresses ------------------------------------------------------------------------------------

    def _planes(self) -> LayerPlanes:
        s, o = self.workload.shape, self.workload.options

        def rows(heads: int, count: int, bits: int, pair: bool = False) -> Plane:
            return self.arena.plane(heads, count, row_bytes(s.dim, bits), pair=pair)

        pair = o.generate and s.group == 1 and pairs_save(self.config, s.kv_heads, s.dim, o.k_bits[0])
        return LayerPlanes(
            q=rows(s.query_heads, s.queries, o.q_bits),
            k_msb=rows(s.kv_heads, s.tokens, o.k_bits[0], pair),
            k_lsb=rows(s.kv_heads, s.tokens, o.k_bits[1]) if o.k_bits[1] else None,
            v_msb=rows(s.kv_heads, s.tokens, o.v_bits[0]),
            v_lsb=rows(s.kv_heads, s.tokens, o.v_bits[1]) if o.v_bits[1] else None,
        )

    def layer_data(self, layer: int) -> Iterator[Write]:
        """(address, bytes) of a layer's Q, K and V planes."""
        w, planes = self.workload, self.planes[layer]
        yield planes.q.base, planes.q.image(pack_rows(w.codes["q"][layer], w.options.q_bits))
        for name, (msb_bits, lsb_bits), msb_plane, lsb_plane in (
                ("k", w.options.k_bits, planes.k_msb, planes.k_lsb),
                ("v", w.options.v_bits, planes.v_msb, planes.v_lsb)):
            msb, low = split(w.codes[name][layer], lsb_bits)
            yield msb_plane.base, msb_plane.image(pack_rows(msb, msb_bits))
            if lsb_plane is not None:
                yield lsb_plane.base, lsb_plane.image(pack_rows(low, lsb_bits))

    # -- jobs -----------------------------------------------------------------------------------------

    def _scales(self, layer: int) -> tuple[HeadScale, ...]:
        w = self.workload
        entries = []
        for h in range(w.shape.query_heads):
            kv = h // w.shape.group
            q, k, v = w.scales["q"][layer, h], w.scales["k"][layer, kv], w.scales["v"][layer, kv]
            entries.append(head_scale(float(q), float(k), float(v), w.shape.dim, w.out_unit))
        return tuple(entries)

    def _pass(self, step: int, layer: int) -> LayerPass:
        w = self.workload
        s, o, planes = w.shape, w.options, self.planes[layer]
        tokens = w.tokens_at(step)
        first, last = layer == 0, step == w.steps - 1 and layer == s.layers - 1
        scores, new_token = self._scores_to_start(step) if first else (None, None)
        # The next step can only add its token's initial score to scores that were stored.
        stored = last or (layer == s.layers - 1 and self._scores_to_start(step + 1)[1] is not None)
        out_rows = 1 if o.generate else tokens
        out = self.arena.out_plane(s.query_heads, out_rows, s.dim)
        q_base = planes.q.base + (step * planes.q.token_stride if o.generate else 0)
        strides: dict[str, int] = {}
        for name in ("k_msb", "k_lsb", "v_msb", "v_lsb"):
            plane = getattr(planes, name)
            if plane is not None:
                strides |= {f"{name}_base": plane.base, f"{name}_head_stride": plane.head_stride,
                            f"{name}_token_stride": plane.token_stride}
        keep = {name: count for name, count in (
            ("keep_tokens", o.keep_tokens[step][layer]), ("keep_heads", o.keep_heads[step][layer]),
            ("keep_values", o.keep_values[step][layer])) if count is not None}
        job = LayerJob(
            dim=s.dim, tokens=tokens, scales=self._scales(layer), generate=int(o.generate),
            causal=int(o.causal and not o.generate),
            restart=int(first), clear_scores=int(first and step == 0 and scores is None),
            load_scores=int(scores is not None or new_token is not None),
            store_ids=1, store_scores=int(stored), pair=int(planes.k_msb.pair),
            q_bits=o.q_bits, k_msb=o.k_bits[0], k_lsb=o.k_bits[1], v_msb=o.v_bits[0], v_lsb=o.v_bits[1],
            threshold=o.threshold_code, heads=s.kv_heads, group=s.group,
            protect_first=min(o.protect_first, tokens), protect_last=min(o.protect_last, tokens),
            q_base=q_base, q_head_stride=planes.q.head_stride, q_token_stride=planes.q.token_stride,
            out_base=out.base, out_head_stride=out.head_stride, out_token_stride=out.token_stride,
            ids_out=self.arena.alloc(WORD_BYTES * (1 + tokens + s.kv_heads)),
            scores_in=self.scores_address, scores_out=self.scores_address, **keep, **strides)
        rows = slice(step, step + 1) if o.generate else slice(0, tokens)
        return LayerPass(
            step, layer, job, self.arena.alloc(descriptor_bytes(s.query_heads)), out,
            w.codes["q"][layer][:, rows], w.codes["k"][layer][:, :tokens], w.codes["v"][layer][:, :tokens],
            scores, new_token)
