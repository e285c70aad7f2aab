"""What a run gives back: the arrays and the per-layer numbers of the output contract (`docs/workloads.md`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .builder import dense_rows_bytes
from .workload import Workload

#: Classes of memory traffic, in the order of the counters.
BYTE_CLASSES = ("q", "k_msb", "k_lsb", "v_msb", "v_lsb", "out", "other")
#: The classes that count reads of operand rows.
OPERAND_CLASSES = BYTE_CLASSES[:5]


@dataclass
class LayerStats:
    """One layer (of one generation step): tokens and K/V heads alive, query rows computed over all heads, how
    many of those fetched LSBs, cycles (hardware only), bytes by class (not in the float engine)."""

    step: int
    layer: int
    tokens: int
    heads: int
    queries: int
    refetched: int
    cycles: int | None = None
    bytes: dict[str, int] | None = None


@dataclass
class Outputs:
    """The arrays of the contract; the leading step axis of generation is always present internally. `first_rows`: of
    each step's queries."""

    out: np.ndarray
    refetched: np.ndarray
    step_token_kept: np.ndarray
    step_head_kept: np.ndarray
    step_token_scores: np.ndarray
    step_head_scores: np.ndarray
    token_scores: np.ndarray
    head_scores: np.ndarray
    generate: bool
    first_rows: tuple[int, ...]
    layers: list[LayerStats] = field(default_factory=list)

    @classmethod
    def empty(cls, w: Workload) -> Outputs:
        s = w.shape
        return cls(
            out=np.zeros((s.layers, s.query_heads, s.queries, s.dim)),
            refetched=np.zeros((s.layers, s.query_heads, s.queries), dtype=bool),
            step_token_kept=np.zeros((w.steps, s.layers, s.tokens), dtype=bool),
            step_head_kept=np.zeros((w.steps, s.layers, s.kv_heads), dtype=bool),
            step_token_scores=np.zeros((w.steps, s.layers, s.tokens)),
            step_head_scores=np.zeros((w.steps, s.layers, s.kv_heads)),
            token_scores=np.zeros(s.tokens), head_scores=np.zeros(s.kv_heads), generate=w.options.generate,
            first_rows=tuple(w.rows(step).start for step in range(w.steps)))

    def put(self, stats: LayerStats, out: np.ndarray, refetched: np.ndarray, tokens: np.ndarray,
            heads: np.ndarray, token_scores: np.ndarray, head_scores: np.ndarray) -> None:
        """One pass: out [query_heads, rows, D], refetched [query_heads, rows], alive tokens and heads; the importance
        of all tokens [tokens] and heads [kv_heads] after it."""
        step, layer = stats.step, stats.layer
        first = self.first_rows[step]
        rows = slice(first, first + out.shape[1])
        self.out[layer, :, rows] = out
        self.refetched[layer, :, rows] = refetched
        self.step_token_kept[step, layer, :len(tokens)] = tokens
        self.step_head_kept[step, layer] = heads
        self.step_token_scores[step, layer] = token_scores
        self.step_head_scores[step, layer] = head_scores
        self.layers.append(stats)

    @property
    def token_kept(self) -> np.ndarray:
        """[layers, tokens], in generation [queries, layers, tokens]."""
        return self.step_token_kept if self.generate else self.step_token_kept[0]

    @property
    def head_kept(self) -> np.ndarray:
        """[layers, kv_heads], in generation [queries, layers, kv_heads]."""
        return self.step_head_kept if self.generate else self.step_head_kept[0]

    @property
    def layer_token_scores(self) -> np.ndarray:
        """[layers, tokens], in generation [queries, layers, tokens]: importance after the layer."""
        return self.step_token_scores if self.generate else self.step_token_scores[0]

    @property
    def layer_head_scores(self) -> np.ndarray:
        """[layers, kv_heads], in generation [queries, layers, kv_heads]: importance after the layer."""
        return self.step_head_scores if self.generate else self.step_head_scores[0]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The keys of OUT.npz."""
        return {"out": self.out, "token_kept": self.token_kept, "head_kept": self.head_kept,
                "token_scores": self.token_scores, "head_scores": self.head_scores,
                "layer_token_scores": self.layer_token_scores, "layer_head_scores": self.layer_head_scores,
                "refetched": self.refetched}

    @property
    def bytes(self) -> dict[str, int] | None:
        """Bytes by class over all layers; None if the engine moves none."""
        if any(s.bytes is None for s in self.layers):
            return None
        return {k: sum((s.bytes or {})[k] for s in self.layers) for k in BYTE_CLASSES}


def dense_bytes(w: Workload, bits: int = 12) -> int:
    """Bytes of the same attention without pruning, in operands of `bits` bits (outputs 16), every row once and no beat
    wasted: Q rows, K and V rows (per generation step: of all tokens so far) and output rows."""
    return w.shape.layers * sum(dense_layer_bytes(w, step, bits) for step in range(w.steps))


def dense_layer_bytes(w: Workload, step: int, bits: int = 12) -> int:
    """The same for one layer of a step."""
    s = w.shape
    rows = w.rows(step)
    queries = rows.stop - rows.start
    return dense_rows_bytes(s.query_heads * queries, s.kv_heads * w.tokens_at(step), s.dim, bits)
