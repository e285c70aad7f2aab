"""A Llama in numpy float32: everything but attention, which the caller supplies.

Pre-norm blocks with RMSNorm, rotary positions (RoPE, Su et al. 2021) on pairs of neighbouring channels, as GGUF files
order them, grouped queries, SwiGLU, output embedding tied to the input's unless there is another (Touvron et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spatten_hw.host.folds import factors_of
from spatten_hw.sim.models.decoder.model import OPERANDS

#: Later rows may be this many times larger than the largest of the text that a model was calibrated on. V has no room:
#: in 4 bits a quarter of the range costs more than the few values that are clipped (docs/accuracy.md).
HEADROOM = {"q": 1.5, "k": 1.25, "v": 1.0}
#: Positions at which keys are looked at for their peaks, and how far (radians) a pair may turn between two of them.
REACH_SAMPLES, REACH_STEP = 16, 0.25


@dataclass(frozen=True)
class Architecture:
    """Sizes of a model. `heads` query heads on `kv_heads` K/V heads of `dim`; `inner`: width of the MLP; `rope_base`:
    base of the rotations' wavelengths; `eps`: added to mean squares before the root."""

    layers: int
    heads: int
    kv_heads: int
    dim: int
    hidden: int
    inner: int
    context: int
    vocabulary: int
    rope_base: float = 10000.0
    eps: float = 1e-5

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names (those of GGUF) and shapes of the weights; matrices are [out, in]."""
        n, q, kv = self.hidden, self.heads * self.dim, self.kv_heads * self.dim
        shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (self.vocabulary, n), "output_norm.weight": (n,)}
        for layer in range(self.layers):
            for name, shape in {"attn_norm": (n,), "ffn_norm": (n,), "attn_q": (q, n), "attn_k": (kv, n),
                                "attn_v": (kv, n), "attn_output": (n, q), "ffn_gate": (self.inner, n),
                                "ffn_up": (self.inner, n), "ffn_down": (n, self.inner)}.items():
                shapes[f"blk.{layer}.{name}.weight"] = shape
        return shapes


@dataclass
class Llama:
    """A model (`DecoderModel`). `context` may be lowered to what a build holds. `calibrate` sets peaks and folds."""

    architecture: Architecture
    weights: Mapping[str, np.ndarray]
    title: str = "the model"
    unit: str = "token"
    peaks: dict[str, np.ndarray] = field(default_factory=dict)
    folds: dict[str, np.ndarray] | None = None

    def __post_init__(self) -> None:
        a = self.architecture
        self.layers, self.heads, self.kv_heads, self.dim = a.layers, a.heads, a.kv_heads, a.dim
        self.context, self.vocabulary = a.context, a.vocabulary

    # -- the parts of a pass; leading axes are free -------------------------------------------------------------

    def embed(self, ids: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """[..., hidden] of token ids [...]."""
        return self.weights["token_embd.weight"][ids]

    def project(self, layer: int, x: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q [..., heads, dim], K and V [..., kv_heads, dim] of rows x [..., hidden], Q and K rotated by positions
        [...], which broadcast."""
        rows = self._norm(x, f"blk.{layer}.attn_norm")
        q, k, v = (self._dense(rows, f"blk.{layer}.attn_{name}").reshape(*x.shape[:-1], -1, self.dim)
                   for name in OPERANDS)
        return self.rotated(q, positions), self.rotated(k, positions), v

    def finish(self, layer: int, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The rest of a block: rows x [..., hidden] it began with, attention out [..., heads, dim] → new rows."""
        x = x + self._dense(out.reshape(*x.shape[:-1], -1).astype(np.float32), f"blk.{layer}.attn_output")
        rows = self._norm(x, f"blk.{layer}.ffn_norm")
        gate = self._dense(rows, f"blk.{layer}.ffn_gate")
        inner = gate / (1 + np.exp(-gate)) * self._dense(rows, f"blk.{layer}.ffn_up")
        return x + self._dense(inner, f"blk.{layer}.ffn_down")

    def logits(self, x: np.ndarray) -> np.ndarray:
        """[..., vocabulary] of the last block's rows."""
        output = "output" if "output.weight" in self.weights else "token_embd"
        return self._dense(self._norm(x, "output_norm"), output)

    def rotated(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """x [..., heads, dim], channels 2i and 2i + 1 turned by position · base^(−2i/dim); positions [...] broadcast.
        With −positions it turns them back."""
        angle = np.asarray(positions)[..., None, None] * self._turns()
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        even, odd = x[..., ::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)

    def reached(self, k: np.ndarray, positions: np.ndarray, reach: int | None) -> np.ndarray:
        """The largest magnitudes [heads, dim] that keys like k [tokens, heads, dim], which are rotated by positions
        [tokens], have in each channel at any position below `reach` (None: at any position at all).

        A pair of channels that turns slowly keeps its magnitude in one of them for so long; one that turns fast gives
        it to both. Slow ones are looked at in `REACH_SAMPLES` places: up to 1 % too small, which the headroom covers.
        """
        plain = self.rotated(k, -positions)
        peaks = np.repeat(np.hypot(plain[..., ::2], plain[..., 1::2]), 2, axis=-1).max(axis=0)
        if reach is None:
            return peaks
        steps = np.linspace(0, reach - 1, REACH_SAMPLES)
        sampled = np.max([np.abs(self.rotated(plain, np.full(len(plain), at))).max(axis=0) for at in steps], axis=0)
        slow = np.repeat(self._turns() * (steps[1] - steps[0]) < REACH_STEP, 2)
        return np.where(slow, sampled, peaks)

    def _turns(self) -> np.ndarray:
        """Radians per position of each pair [dim / 2]."""
        return self.architecture.rope_base ** (-np.arange(0, self.dim, 2) / self.dim)

    # -- dense --------------------------------------------------------------------------------------------------

    def forward(self, ids: np.ndarray) -> np.ndarray:
        """Logits [tokens, vocabulary] of ids [tokens], dense causal attention."""
        return self.logits(self.hidden_rows(ids))

    def hidden_rows(self, ids: np.ndarray, seen: list[tuple[np.ndarray, ...]] | None = None) -> np.ndarray:
        """The last block's rows [tokens, hidden] of ids [tokens]. `seen` gets Q, K and V of each layer."""
        positions = np.arange(len(ids))
        x = self.embed(np.asarray(ids), positions)
        for layer in range(self.layers):
            operands = self.project(layer, x, positions)
            if seen is not None:
                seen.append(operands)
            x = self.finish(layer, x, causal_attention(*operands))
        return x

    def calibrate(self, ids: np.ndarray, fold: bool = True, reach: int | None = None) -> None:
        """Sets `peaks`, and with `fold` `folds`, for texts that go on from `ids` [tokens], to positions below `reach`
        (None: for ever)."""
        seen: list[tuple[np.ndarray, ...]] = []
        self.hidden_rows(np.asarray(ids), seen)
        q, k, v = (np.stack([np.abs(layer[n]).max(axis=0) for layer in seen]).astype(np.float64) for n in range(3))
        self.folds = None
        if fold:
            # Later positions turn a pair's magnitude from one channel into the other.
            k = np.stack([self.reached(layer[1], np.arange(len(ids)), reach) for layer in seen]).astype(np.float64)
            self.folds = {"k": factors_of(k), "v": factors_of(v)}
            q = q * np.repeat(self.folds["k"], self.heads // self.kv_heads, axis=1)
            k, v = k / self.folds["k"], v / self.folds["v"]
        self.peaks = {name: x.max(axis=-1) * HEADROOM[name] for name, x in (("q", q), ("k", k), ("v", v))}

    def _dense(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scale = np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(self.architecture.eps))
        return x / scale * self.weights[f"{name}.weight"]


def causal_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Dense causal attention of q [tokens, heads, dim] and k, v [tokens, kv_heads, dim] → [tokens, heads, dim]."""
    values = np.repeat(np.swapaxes(v, 0, 1), q.shape[1] // v.shape[1], axis=0)
    return np.swapaxes(causal_probabilities(q, k) @ values, 0, 1)


def causal_probabilities(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Its probabilities [heads, tokens, tokens]."""
    q, k = np.swapaxes(q, 0, 1), np.repeat(np.swapaxes(k, 0, 1), q.shape[1] // k.shape[1], axis=0)
    scores = q @ np.swapaxes(k, 1, 2) / np.float32(np.sqrt(q.shape[-1]))
    scores[:, ~np.tri(scores.shape[-1], dtype=bool)] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def random_llama(seed: int, layers: int = 2, heads: int = 4, kv_heads: int = 2, dim: int = 32, context: int = 64,
                 vocabulary: int = 300) -> Llama:
    """An untrained model for tests, lively enough that attention matters; not calibrated."""
    rng = np.random.default_rng(seed)
    a = Architecture(layers, heads, kv_heads, dim, heads * dim, 2 * heads * dim, context, vocabulary)
    weights = {name: (2 / np.sqrt(shape[-1]) * rng.standard_normal(shape) if len(shape) == 2
                      else 1 + 0.1 * rng.standard_normal(shape)).astype(np.float32)
               for name, shape in a.shapes().items()}
    weights["token_embd.weight"] = rng.standard_normal((vocabulary, a.hidden)).astype(np.float32)
    return Llama(a, weights)
