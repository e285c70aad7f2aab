"""Scales of K and V found on a prompt: one per head, per channel, or per pair of channels that are rotated together.

A scale per channel costs no hardware: K is divided by a factor for each channel and Q multiplied by it, V divided by
one and outputs multiplied (KIVI, arXiv 2402.02750). A factor that both channels of a rotated pair share commutes with
the rotation (RoPE), so "pair" is what a scale per channel found before the rotation can be worth in this memory format.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .model import HEADROOM, LEAST_FOLD, Llama

#: Scales by name.
SCALES = ("head", "channel", "pair")


@dataclass(frozen=True)
class Peaks:
    """The largest magnitudes by channel over prompts: "q" → float64 [sequences, layers, heads, dim], "k", "v" →
    [sequences, layers, kv_heads, dim]."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray


def channel_peaks(model: Llama, prompts: np.ndarray) -> Peaks:
    """The peaks of prompts [sequences, tokens], each by itself, in float32."""
    found: list[list[np.ndarray]] = [[], [], []]
    for ids in prompts:
        seen: list[tuple[np.ndarray, ...]] = []
        model.hidden_rows(ids, seen)
        for n, peaks in enumerate(found):
            peaks.append(np.stack([np.abs(layer[n]).max(axis=0) for layer in seen]).astype(np.float64))
    return Peaks(*(np.stack(peaks) for peaks in found))


def shared(peaks: np.ndarray, scale: str) -> np.ndarray:
    """Factors [..., dim] of peaks [..., dim]: the peak of whatever has a scale together."""
    if scale == "head":
        return np.broadcast_to(peaks.max(axis=-1, keepdims=True), peaks.shape)
    if scale == "pair":
        pairs = peaks.reshape(*peaks.shape[:-1], -1, 2).max(axis=-1)
        peaks = np.repeat(pairs, 2, axis=-1)
    return np.maximum(peaks, peaks.max(axis=-1, keepdims=True) * LEAST_FOLD)


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
        k = shared(peaks.k, k_scale) * HEADROOM["k"]
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
