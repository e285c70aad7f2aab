"""The language model under a point: windows of real text, each quantised by scales found on its own prompt."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import numpy as np

from spatten_hw.sim.models.decoder.jobs import DecoderJobs
from spatten_hw.sim.models.eviction.jobs import HeadJobs
from spatten_hw.sim.models.eviction.policy import EVICTIONS, Eviction
from spatten_hw.sim.models.llama.model import Llama
from spatten_hw.sim.models.llama.quantisers import Factors, Prefill, prefill

from .attention import Attention, Engine, Spy
from .decoder import DecoderBench
from .evicting import EvictingAttention, FloatHead, GoldenHead
from .point import UNROTATED, Point
from .tally import Tally
from .unrotated import Unrotated


class Scaled:
    """`Attention` on rows divided by factors per sequence, outputs multiplied back."""

    def __init__(self, inner: Attention, factors: Factors):
        self.inner, self.factors = inner, factors

    def run(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        return self.factors.multiplied(layer, self.inner.run(layer, *self.factors.divided(layer, q, k, v)))

    def fill(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray, importance: np.ndarray) -> None:
        self.inner.fill(layer, *self.factors.divided(layer, q, k, v), importance)


def _held(point: Point) -> Point:
    """A point with the widths that are in memory: keys quantised before their rotation need all bits after it."""
    if point.k_scale != UNROTATED or point.bits is None:
        return point
    return replace(point, bits=(12, 0), v_bits=point.v_bits or point.bits)


@dataclass
class LanguageBench(DecoderBench):
    """Windows of text [windows, tokens + 1] for a Llama. `prefilled`: the prompts, computed when it is made; a point
    takes them, or computes its own (`prompt_here`)."""

    model: Llama
    prefilled: Prefill = field(init=False, repr=False)
    #: Scales of Q are those of such a batch; K and V have theirs by window.
    together: ClassVar[int] = 20

    def __post_init__(self) -> None:
        queries = max(policy.queries or 0 for policy in EVICTIONS.values())
        self.prefilled = prefill(self.model, self.windows[:, :self.prompt], queries, self.last)
        super().__post_init__()

    def part(self, first: int, count: int = 1) -> LanguageBench:
        some = cast(LanguageBench, super().part(first, count))
        some.prefilled = self.prefilled.part(first, count)
        return some

    def room(self, point: Point) -> int:
        """Tokens that a cache has room for."""
        return self.last

    def factors(self, point: Point) -> Factors:
        """What rows are divided by under a point."""
        k_scale = "channel" if point.k_scale == UNROTATED else point.k_scale
        return Factors.of(self.prefilled.peaks, k_scale, point.v_scale)

    def quantised(self, point: Point) -> Llama:
        """The model with the peaks of a point, and a context as long as the windows."""
        model = copy.copy(self.model)
        model.peaks, model.folds, model.context = self.factors(point).model_peaks(), None, self.room(point)
        return model

    def jobs(self, point: Point) -> DecoderJobs:
        return DecoderJobs(self.quantised(point), self.config, _held(point).decoder_settings, self.prompt)

    def attention(self, point: Point, spy: Spy | None = None) -> Engine:
        if not point.evict:
            return super().attention(point, spy)
        return self.evicting(point, EVICTIONS[point.evict], point.cache)

    def evicting(self, point: Point, policy: Eviction, cache: int) -> EvictingAttention:
        """Attention in the widths of a point on caches of `cache` tokens under `policy`."""
        jobs = HeadJobs(self.quantised(point), self.config, _held(point).decoder_settings, self.prompt,
                        self.room(point))
        sequences = len(self.windows)
        head = FloatHead(jobs, sequences) if point.bits is None else GoldenHead(jobs, sequences)
        return EvictingAttention(head, self.model, policy, cache, self.last - self.prompt)

    def scaled(self, point: Point, attention: Attention) -> Attention:
        """`attention` for real rows."""
        result: Attention = Scaled(attention, self.factors(point))
        if point.k_scale == UNROTATED and point.bits is not None:
            result = Unrotated(result, self.model, sum(point.bits))
        return result

    def begin(self, point: Point, attention: Attention) -> None:
        if point.prompt_here:
            super().begin(point, attention)
            return
        p = self.prefilled
        for layer in range(self.model.layers):
            attention.fill(layer, p.q[:, layer], p.k[:, layer], p.v[:, layer], p.importance[:, layer])

    def costs(self, tallies: dict[str, Tally]) -> dict[str, object]:
        """Of generation alone: a prompt is paid once."""
        dense, macs = self.dense()
        return tallies["steps"].record(dense[1] - dense[0], macs[1] - macs[0])
