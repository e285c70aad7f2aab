"""K quantised before its rotation, to measure what that is worth (KVQuant, arXiv 2401.18079)."""

from __future__ import annotations

import numpy as np

from spatten_hw.sim.models.llama.model import HEADROOM, Llama

from .attention import Attention


class Unrotated:
    """`Attention` whose keys are turned back, rounded to `bits` with a scale per channel found on the prompt, and
    turned again. The accelerator has no rotation behind its memory: it gets the result in its own widths."""

    def __init__(self, inner: Attention, model: Llama, bits: int):
        self.inner, self.model, self.largest = inner, model, (1 << (bits - 1)) - 1
        self.units: list[np.ndarray] = []
        self.tokens = [0] * model.layers

    def run(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        return self.inner.run(layer, q, self._rounded(layer, k), v)

    def fill(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray, importance: np.ndarray) -> None:
        self.inner.fill(layer, q, self._rounded(layer, k), v, importance)

    def _rounded(self, layer: int, k: np.ndarray) -> np.ndarray:
        positions = self.tokens[layer] + np.arange(k.shape[1])
        self.tokens[layer] += k.shape[1]
        plain = self.model.rotated(k, -positions)
        if len(self.units) <= layer:
            self.units.append(np.abs(plain).max(axis=1, keepdims=True) * HEADROOM["k"] / self.largest)
        unit = np.maximum(self.units[layer], 1e-9)
        rounded = np.clip(np.rint(plain / unit), -self.largest, self.largest) * unit
        return self.model.rotated(rounded.astype(np.float32), positions)
