"""One forward pass of a model: its layers in order, each over all sequences of the batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .masks import MaskRefused, View, views
from .options import Sizes
from .refusals import check_module, refused
from .report import Entry
from .sequence import Sequence

if TYPE_CHECKING:
    from .adapter import SpAttenAttention


class ForwardPass:
    """Layers 0 … of a pass that begins with the attention `module`; `layer`: the next one."""

    def __init__(self, owner: SpAttenAttention, module: Any, query: Any, key: Any):
        self.owner = owner
        config: Any = getattr(module, "config", None)
        self.config = config.get_text_config() if hasattr(config, "get_text_config") else config
        self.name = getattr(self.config, "model_type", type(module).__name__)
        layers = getattr(self.config, "num_hidden_layers", None)
        if not isinstance(layers, int):
            raise refused(self.name, "its configuration does not say how many layers it has")
        self.sizes = self._sizes(query.shape, key.shape, layers)
        self.layer = 0
        self.number = owner.forwards
        self.views: list[View] = []

    @property
    def done(self) -> bool:
        return self.layer == self.sizes.layers

    def _sizes(self, query: tuple[int, ...], key: tuple[int, ...], layers: int) -> Sizes:
        """What the shapes of Q and K, [batch, heads, rows, D], say."""
        heads, kv_heads = query[1], key[1]
        if heads % kv_heads:
            raise refused(self.name, f"its {heads} query heads are no multiple of {kv_heads} K/V heads")
        return Sizes(self.name, layers, kv_heads, heads // kv_heads, query[3])

    def layer_of(self, module: Any, q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None,
                 scaling: float | None, kwargs: dict[str, Any]) -> np.ndarray:
        """The next layer: q [batch, query_heads, queries, D], k, v [batch, kv_heads, keys, D] → [batch, queries,
        query_heads, D], 0 where a token is padding or pruned."""
        index = getattr(module, "layer_idx", None)
        if isinstance(index, int) and index != self.layer:
            raise refused(self.name, f"layer {index} came where layer {self.layer} was to come (layers that skip or "
                                     "share this attention, or an encoder-decoder model)")
        batch, queries, keys = len(q), q.shape[2], k.shape[2]
        check_module(module, self.config, self.layer, keys, kwargs)
        if v.shape != k.shape or self._sizes(q.shape, k.shape, self.sizes.layers) != self.sizes:
            raise refused(self.name, f"shapes of Q, K and V differ between themselves or layers ({list(q.shape)}, "
                                     f"{list(k.shape)}, {list(v.shape)})")
        causal = kwargs.get("is_causal")
        try:
            seen = views(mask, batch, queries, keys, getattr(module, "is_causal", True) if causal is None else causal)
        except MaskRefused as e:
            raise refused(self.name, str(e)) from None
        if not all(np.isfinite(x).all() for x in (q, k, v)):
            raise refused(self.name, f"layer {self.layer} has NaN or infinite operands")
        if self.layer == 0:
            self._begin(seen, k)
        elif seen != self.views:
            raise refused(self.name, f"the mask of layer {self.layer} differs from that of layer 0 (local attention)")
        q = q * self._factor(scaling)
        out = np.zeros((batch, queries, q.shape[1], q.shape[3]))
        self.owner.survivors = np.zeros((batch, keys), dtype=bool)
        for i, s in enumerate(self.owner.batch):
            self.owner.tell(f"{self.name}: layer {self.layer + 1} of {self.sizes.layers}, sequence {i + 1} of {batch}")
            outcome = s.run(self.layer, q[i], k[i], v[i])
            out[i] = s.padded(outcome.out, queries).swapaxes(0, 1)
            self.owner.survivors[i, list(s.view.keys)] = outcome.tokens
            self.owner.note(Entry(self.number, s.number, outcome.stats, outcome.clipped, outcome.saturated))
        self.layer += 1
        return out

    def _begin(self, seen: list[View], k: np.ndarray) -> None:
        """New sequences for prompts; for steps those of the pass before, if they are the same."""
        self.views = seen
        o, old = self.owner, self.owner.batch
        batch: list[Sequence] = []
        for i, view in enumerate(seen):
            if not view.step:
                batch.append(Sequence(o.count + i, self.sizes, o.options, o.config))
            elif len(old) == len(seen) and old[i].follows(self.sizes, view, k[i]):
                batch.append(old[i])
            else:
                raise refused(self.name, f"sequence {i} does not continue the pass before (a KV cache filled "
                                         "elsewhere, another thread in between, beam search, a sliding window, or a "
                                         "mask that has changed)")
        for s, view, keys in zip(batch, seen, k, strict=True):
            s.begin(view, keys)
        o.use(batch, sum(s.dense_bytes for s in batch))

    def _factor(self, scaling: float | None) -> float:
        """What Q is multiplied by, so that 1/sqrt(D), which is built in, gives the model's own scale."""
        if scaling is None:
            return 1.0
        factor = float(scaling) * math.sqrt(self.sizes.dim)
        if not (math.isfinite(factor) and factor > 0):
            raise refused(self.name, f"its scores are scaled by {scaling!r}")
        return 1.0 if math.isclose(factor, 1.0, rel_tol=1e-12) else factor
