"""One sequence of a batch: its tokens, its importance, its passes from the prompt through all generation steps."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.results import dense_bytes
from spatten_hw.host.shape import longest_prompt
from spatten_hw.host.workload import check_build
from spatten_hw.host.workload.schedule import LayerCounts

from .float_layers import FloatLayers
from .golden_layers import GoldenLayers
from .masks import View
from .options import AttentionOptions, Sizes, keep_counts, outline
from .refusals import refused
from .segment import Segment
from .task import LayerOutcome, LayerTask


class Sequence:
    """A sequence from its prompt on. `number` counts all sequences, `segments` are what was recorded."""

    def __init__(self, number: int, sizes: Sizes, options: AttentionOptions, config: SpAttenConfig):
        self.number, self.sizes, self.options, self.config = number, sizes, options, config
        self.layers: FloatLayers | GoldenLayers = (
            FloatLayers(sizes, options) if options.engine == "float" else GoldenLayers(sizes, options, config))
        self.step = -1
        self.view = View((), False, False)
        self.first_k = np.zeros(0)
        self.keep: LayerCounts | None = None
        self.segments: list[Segment] = []
        self.dense_bytes = 0

    def follows(self, sizes: Sizes, view: View, k: np.ndarray) -> bool:
        """Whether a step with keys `k` [kv_heads, keys, D] in its first layer continues this sequence: the same model,
        and the same cache, from which the last tokens may have been taken off again (guesses that were wrong)."""
        cached = view.keys[:view.cached]
        return (self.sizes == sizes and bool(cached) and cached == self.view.keys[:len(cached)]
                and np.array_equal(k[:, list(cached)], self.first_k[:, :len(cached)]))

    def begin(self, view: View, first_k: np.ndarray) -> None:
        """A pass: the prompt if nothing has run, or the next step. Refuses what does not fit the build."""
        tokens, new = len(view.keys), self.step < 0
        golden, chunks = self.options.engine == "golden", self.config.chunk_queries
        if golden and chunks and view.causal and not view.step and tokens > longest_prompt(self.config, self.sizes.dim):
            view = view.in_blocks
        if golden and not chunks and view.queries > 1:
            raise refused(self.sizes.name, "several queries at once follow a KV cache, and "
                                           f"'{self.config.name}' is built without them",
                          "give the prompt in one piece, or a build with chunk_queries = 1")
        work = outline(self.sizes, tokens, view.step, self.options, view.queries)
        if golden:
            check_build(work, self.config)
        self.keep = keep_counts(self.sizes, tokens, self.options, view.queries)
        # A workload file has steps of as many queries each.
        apart = not new and self.view.step and self.view.queries != view.queries
        self.view, self.step = view, self.step + 1
        self.first_k = first_k[:, list(view.keys)].copy()
        self.dense_bytes = dense_bytes(work)
        begins = self.layers.begin(tokens, new, view.cached, apart)
        if not self.options.record:
            return
        if begins:
            segment = Segment(self.number, self.step, view.step, view.causal, self.sizes, view.queries)
            if not new:
                segment.token_scores = self.layers.token_scores.copy()
                segment.head_scores = self.layers.head_scores.copy()
            self.segments.append(segment)
        self.segments[-1].begin_pass(self.keep)

    def run(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> LayerOutcome:
        """One layer of the pass: q [query_heads, queries, D], k, v [kv_heads, keys, D] with padding; what comes
        back has none (`padded`)."""
        places = list(self.view.keys)
        counts = self.keep
        task = LayerTask(
            self.step, layer, self.view.step, self.view.causal,
            q[:, list(self.view.rows) if self.view.step else places], k[:, places], v[:, places],
            (None, None, None) if counts is None else (counts.tokens[layer], counts.heads[layer], counts.values[layer]))
        outcome = self.layers.run(task)
        if self.options.record:
            self.segments[-1].put(outcome)
            self.segments[-1].out_unit = self.layers.out_unit
        return outcome

    def padded(self, out: np.ndarray, queries: int) -> np.ndarray:
        """`out` [query_heads, rows, D] at the places of all `queries` queries, 0 where there is padding."""
        full = np.zeros((out.shape[0], queries, out.shape[2]))
        full[:, list(self.view.rows if self.view.step else self.view.keys)] = out
        return full
