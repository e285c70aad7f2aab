"""NanoGuard in numpy float32: everything but attention, which the caller supplies.

A bidirectional transformer: RMSNorm without weights before attention and MLP, rotary positions on the two halves of
the channels and then RMSNorm of Q and K, squared ReLU, each layer's input mixed with the embeddings, a mean over all
tokens, LayerNorm and one linear layer to two logits (safe, injection). Operations, their order and their constants are
those of `nanoguard/model.py` in the package metatronnanoguard 0.1.0, which tests/models/nanoguard holds it against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spatten_hw.sim.models.encoder import Encoder, Tokens

#: Added to mean squares (RMSNorm: the least step of float32 at 1, as PyTorch has it) and to variances (LayerNorm).
RMS_EPS, LAYER_EPS = float(np.finfo(np.float32).eps), 1e-5
#: Base of the rotations' wavelengths.
ROPE_BASE = 10000.0
#: Width of the MLP, in hidden channels.
MLP = 4


@dataclass(frozen=True)
class Architecture:
    """Sizes of a model; `heads` · `dim` channels; `context`: most tokens."""

    layers: int
    heads: int
    dim: int
    context: int
    vocabulary: int

    @property
    def hidden(self) -> int:
        return self.heads * self.dim

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names (those of the checkpoint) and shapes of the weights; matrices are [out, in]."""
        n = self.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "transformer.wte.weight": (self.vocabulary, n), "resid_lambdas": (self.layers,),
            "x0_lambdas": (self.layers,), "cls_norm.weight": (n,), "cls_norm.bias": (n,),
            "cls_head.weight": (2, n), "cls_head.bias": (2,)}
        for layer in range(self.layers):
            for name, shape in {"attn.c_q": (n, n), "attn.c_k": (n, n), "attn.c_v": (n, n), "attn.c_proj": (n, n),
                                "mlp.c_fc": (MLP * n, n), "mlp.c_proj": (n, MLP * n)}.items():
                shapes[f"transformer.h.{layer}.{name}.weight"] = shape
        return shapes


class NanoGuard(Encoder):
    """A model; `encode` gives logits [2]: safe, injection. Its V reaches 49 on the texts it is measured on."""

    title, protected, out_unit = "the classifier", (1, 0), 2.0 ** -9

    def __init__(self, architecture: Architecture, weights: Mapping[str, np.ndarray]):
        self.architecture, self.weights = architecture, weights
        self.layers, self.heads, self.dim = architecture.layers, architecture.heads, architecture.dim
        self.max_tokens = architecture.context

    def embed(self, tokens: Tokens) -> np.ndarray:
        return rms_norm(self.weights["transformer.wte.weight"][list(tokens.ids)])

    def enter(self, layer: int, x: np.ndarray, first: np.ndarray) -> np.ndarray:
        return self.weights["resid_lambdas"][layer] * x + self.weights["x0_lambdas"][layer] * first

    def project(self, layer: int, x: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = rms_norm(x)
        q, k, v = (self._dense(rows, layer, f"attn.c_{name}").reshape(len(x), self.heads, self.dim).transpose(1, 0, 2)
                   for name in "qkv")
        return rms_norm(rotated(q, positions)), rms_norm(rotated(k, positions)), v

    def finish(self, layer: int, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        joined = out.transpose(1, 0, 2).reshape(len(x), -1).astype(np.float32)
        x = x + self._dense(joined, layer, "attn.c_proj")
        inner = np.maximum(self._dense(rms_norm(x), layer, "mlp.c_fc"), 0)
        return x + self._dense(inner * inner, layer, "mlp.c_proj")

    def pool(self, x: np.ndarray) -> np.ndarray:
        """Logits [2] of the mean of all rows."""
        mean = rms_norm(x).mean(axis=0)
        centred = mean - mean.mean()
        w = self.weights
        row = centred / np.sqrt((centred * centred).mean() + np.float32(LAYER_EPS))
        return (row * w["cls_norm.weight"] + w["cls_norm.bias"]) @ w["cls_head.weight"].T + w["cls_head.bias"]

    def _dense(self, x: np.ndarray, layer: int, name: str) -> np.ndarray:
        return x @ self.weights[f"transformer.h.{layer}.{name}.weight"].T


def rms_norm(x: np.ndarray) -> np.ndarray:
    """x / the root of its mean square, over the last axis."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(RMS_EPS))


def rotated(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """x [heads, tokens, D], channels i and D/2 + i turned back by position · base^(−2i/D), with sines and cosines in
    bfloat16, as the model was trained."""
    half = x.shape[-1] // 2
    steps = np.float32(ROPE_BASE) ** (np.arange(half, dtype=np.float32) / np.float32(half))
    angle = positions[:, None].astype(np.float32) * (np.float32(1) / steps)
    cos, sin = bfloat16(np.cos(angle)), bfloat16(np.sin(angle))
    low, high = x[..., :half], x[..., half:]
    return np.concatenate([low * cos + high * sin, high * cos - low * sin], axis=-1)


def bfloat16(x: np.ndarray) -> np.ndarray:
    """float32 rounded to the nearest bfloat16, ties to even; finite values."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def random_nanoguard(seed: int, layers: int = 2, heads: int = 2, dim: int = 32, context: int = 64,
                     vocabulary: int = 300) -> NanoGuard:
    """An untrained model for tests, lively enough that attention matters."""
    rng = np.random.default_rng(seed)
    a = Architecture(layers, heads, dim, context, vocabulary)
    weights = {name: (2 / np.sqrt(shape[-1]) * rng.standard_normal(shape) if len(shape) == 2
                      else 1 + 0.1 * rng.standard_normal(shape)).astype(np.float32)
               for name, shape in a.shapes().items()}
    return NanoGuard(a, weights)
