"""Prompts in float32, and scales of K and V found on them: one per head, per channel, or per pair of channels that are
rotated together.

A scale per channel costs no hardware: K is divided by a factor for each channel and Q multiplied by it, V divided by
one and outputs multiplied (KIVI, arXiv 2402.02750). Positions rotate pairs of channels (RoPE): a pair that turns slowly
has its magnitude in one channel for as long as the prompt is, and moves it to the other further on, beyond that one's
scale. "channel" of K holds for the positions of a context (`Llama.reached`), "prompt" for those of the prompt alone;
"pair" gives both channels the magnitude of the pair, which no rotation changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.host.folds import factors_of

from .model import HEADROOM, Llama, causal_probabilities

#: Scales by name.
SCALES = ("head", "channel", "pair", "prompt")


@dataclass(frozen=True)
class Peaks:
    """The largest magnitudes by channel over prompts: "q" → float64 [sequences, layers, heads, dim], "k", "v" →
    [sequences, layers, kv_heads, dim]; K's also as they are over the whole context (`context`) and at any position
    (`pairs`)."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    context: np.ndarray
    pairs: np.ndarray

    def of_k(self, scale: str) -> np.ndarray:
        """K's for a kind of scale."""
        return {"channel": self.context, "pair": self.pairs}.get(scale, self.k)

    def part(self, some: slice) -> Peaks:
        """Those of some sequences."""
        return Peaks(self.q[some], self.k[some], self.v[some], self.context[some], self.pairs[some])


@dataclass(frozen=True)
class Prefill:
    """Prompts computed densely in float32: `k`, `v` [sequences, layers, tokens, kv_heads, dim]; `q` of their last
    queries [sequences, layers, queries, heads, dim]; `importance` [sequences, layers, kv_heads, tokens]: sums of the
    probabilities of all queries and of the group's heads; `peaks`."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    importance: np.ndarray
    peaks: Peaks

    def part(self, first: int, count: int = 1) -> Prefill:
        """The prompts of some sequences."""
        some = slice(first, first + count)
        return Prefill(self.q[some], self.k[some], self.v[some], self.importance[some], self.peaks.part(some))


def prefill(model: Llama, prompts: np.ndarray, queries: int, reach: int) -> Prefill:
    """Of prompts [sequences, tokens], with their last `queries`; texts go on to positions below `reach`."""
    sequences, tokens = prompts.shape
    lead, group = (sequences, model.layers), model.heads // model.kv_heads
    q = np.zeros((*lead, min(queries, tokens), model.heads, model.dim), np.float32)
    k, v = (np.zeros((*lead, tokens, model.kv_heads, model.dim), np.float32) for _ in range(2))
    importance = np.zeros((*lead, model.kv_heads, tokens))
    peaks = [np.zeros((*lead, heads, model.dim)) for heads in (model.heads, *[model.kv_heads] * 4)]
    for i, ids in enumerate(prompts):
        x = model.embed(ids, np.arange(tokens))
        for layer in range(model.layers):
            rows = model.project(layer, x, np.arange(tokens))
            probabilities = causal_probabilities(*rows[:2])
            found = [np.abs(of).max(axis=0) for of in rows]
            found += [model.reached(rows[1], np.arange(tokens), to) for to in (reach, None)]
            for peak, of in zip(peaks, found, strict=True):
                peak[i, layer] = of
            q[i, layer], k[i, layer], v[i, layer] = rows[0][tokens - q.shape[2]:], rows[1], rows[2]
            importance[i, layer] = probabilities.sum(axis=1).reshape(model.kv_heads, group, tokens).sum(axis=1)
            values = np.repeat(np.swapaxes(rows[2], 0, 1), group, axis=0)
            x = model.finish(layer, x, np.swapaxes(probabilities @ values, 0, 1))
    return Prefill(q, k, v, importance, Peaks(*peaks))


def shared(peaks: np.ndarray, scale: str) -> np.ndarray:
    """Factors [..., dim] of peaks [..., dim]: the peak of whatever has a scale together."""
    if scale == "head":
        return np.broadcast_to(peaks.max(axis=-1, keepdims=True), peaks.shape)
    return factors_of(peaks) * peaks.max(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Factors:
    """What rows are divided by so that all sequences have the same scales: "k", "v" float64 [sequences, layers,
    kv_heads, dim]; then the largest code of K and V means 1. `q_peak` [layers, heads]: that of Q, times K's factors."""

    k: np.ndarray
    v: np.ndarray
    q_peak: np.ndarray

    @classmethod
    def of(cls, peaks: Peaks, k_scale: str, v_scale: str) -> Factors:
        """With the headroom that texts which go on need."""
        k = shared(peaks.of_k(k_scale), k_scale) * HEADROOM["k"]
        v = shared(peaks.v, v_scale) * HEADROOM["v"]
        q = peaks.q * np.repeat(k, peaks.q.shape[2] // k.shape[2], axis=2)
        return cls(k, v, q.max(axis=(0, 3)) * HEADROOM["q"])

    def divided(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows q, k, v [sequences, rows, heads, dim] as they are quantised."""
        of_k, of_v = self.k[:, layer, None], self.v[:, layer, None]
        return q * np.repeat(of_k, q.shape[2] // k.shape[2], axis=2), k / of_k, v / of_v

    def multiplied(self, layer: int, out: np.ndarray) -> np.ndarray:
        """Outputs [sequences, rows, heads, dim] of divided V as those of V."""
        of_v = self.v[:, layer, None]
        return out * np.repeat(of_v, out.shape[2] // of_v.shape[2], axis=2)

    def model_peaks(self) -> dict[str, np.ndarray]:
        """`DecoderModel.peaks`, for all sequences."""
        ones = np.ones(self.k.shape[1:3])
        return {"q": self.q_peak, "k": ones, "v": ones}
