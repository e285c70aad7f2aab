"""Attention layers, many at a time: what all rivals compute, and what pruning and quantisation leave of it.

A *run* of a layer is one prompt through it, or one step of generation. Counts may be means of many inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

#: Bits of an operand before anything is saved: the paper's baselines hold 32-bit floats.
FLOAT_BITS = 32


@dataclass(frozen=True)
class Layers:
    """N runs of layers in order; every field an array [N].

    `context`: keys before pruning; a prompt (`generate` 0) has as many queries, a step has one. `model_heads`: K/V
    heads before pruning, `group` query heads to each. `tokens`, `heads`: alive; `keep`: values kept per query; `flat`:
    share of the queries that take LSBs. `*_bits`: widths of the planes in memory.
    """

    generate: np.ndarray
    causal: np.ndarray
    context: np.ndarray
    model_heads: np.ndarray
    group: np.ndarray
    dim: np.ndarray
    tokens: np.ndarray
    heads: np.ndarray
    keep: np.ndarray
    q_bits: np.ndarray
    k_bits: np.ndarray
    k_lsb_bits: np.ndarray
    v_bits: np.ndarray
    v_lsb_bits: np.ndarray
    flat: np.ndarray

    @classmethod
    def of(cls, **columns: object) -> Layers:
        """From arrays or scalars, which are broadcast. Missing: a prompt, not causal, no groups, dense, 12 bits."""
        base: dict[str, object] = {"generate": 0, "causal": 0, "group": 1, "flat": 0.0, "q_bits": 12, "k_bits": 12,
                                   "k_lsb_bits": 0, "v_bits": 12, "v_lsb_bits": 0} | columns
        base.setdefault("tokens", base["context"])
        base.setdefault("heads", base["model_heads"])
        base.setdefault("keep", base["tokens"])
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(base[f.name], dtype=float)) for f in fields(cls)))
        return cls(*(np.array(a) for a in arrays))

    def __len__(self) -> int:
        return len(self.context)

    @property
    def digest(self) -> str:
        """Of all columns."""
        return hashlib.sha256(b"".join(getattr(self, f.name).tobytes() for f in fields(self))).hexdigest()

    def with_(self, **columns: object) -> Layers:
        """A copy with some columns changed; scalars are broadcast."""
        return replace(self, **{name: np.broadcast_to(np.asarray(value, dtype=float), len(self)).copy()
                                for name, value in columns.items()})

    def pick(self, which: np.ndarray) -> Layers:
        """Some of the runs: a mask or indexes."""
        return replace(self, **{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def dense(self, bits: int | None = None) -> Layers:
        """The same layers with nothing pruned, no LSBs; `bits`: also the width of every operand."""
        widths = {} if bits is None else {"q_bits": bits, "k_bits": bits, "v_bits": bits}
        return self.with_(tokens=self.context, heads=self.model_heads, keep=self.context, flat=0, k_lsb_bits=0,
                          v_lsb_bits=0, **widths)

    @property
    def queries(self) -> np.ndarray:
        """Queries alive, of one head."""
        return np.where(self.generate > 0, 1.0, self.tokens)

    @property
    def keys_per_query(self) -> np.ndarray:
        """Keys that a query sees, on average over a causal prompt."""
        return np.where((self.causal > 0) & (self.generate == 0), (self.tokens + 1) / 2, self.tokens)

    @property
    def operations(self) -> np.ndarray:
        """Multiplications and additions of Q×K and Prob×V that these layers do (without a second Q×K for LSBs)."""
        kept = np.minimum(self.keep, self.keys_per_query)
        return 2 * self.queries * self.heads * self.group * self.dim * (self.keys_per_query + kept)

    @property
    def operand_bits(self) -> dict[str, np.ndarray]:
        """Bits of Q, K and V that must be read once, no beat wasted: `q`, `k`, `v`. In generation only kept values are
        read (all of a group's members are taken to keep the same); a prompt reads all that are alive."""
        rows = self.heads * self.dim
        values = np.where(self.generate > 0, np.minimum(self.keep, self.tokens), self.tokens)
        return {"q": rows * self.group * self.queries * self.q_bits,
                "k": rows * self.tokens * (self.k_bits + self.flat * self.k_lsb_bits),
                "v": rows * values * (self.v_bits + self.flat * self.v_lsb_bits)}

    @property
    def bytes(self) -> np.ndarray:
        """Bytes of Q, K and V that must be read."""
        return sum(self.operand_bits.values()) / 8  # type: ignore[return-value]


def joined(parts: Sequence[Layers]) -> Layers:
    """Runs one after the other."""
    return Layers(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Layers)))
