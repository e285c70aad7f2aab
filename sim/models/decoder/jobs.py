"""The layer jobs of a decoder with a KV cache: a causal prompt, then one generation job per layer and token, or, on a
build with `chunk_queries`, per layer and several tokens that come at once.

Every layer has planes of its own for K and V, MSBs and LSBs apart, with room for the whole context; a token's rows are
written once and stay where they are. Q, outputs and the lists of survivors use the same places in every job, because
each job is waited for: the host computes the rest of the block before it knows the next layer's operands.

What is pruned: the prompt keeps all tokens and heads, because every later step starts again from all of them and needs
K and V of every position in every layer; values are pruned per query, and LSBs fetched for flat rows. Steps prune
tokens and heads too, by the importance so far: it accumulates inside the accelerator over layers and steps (`restart`
makes all tokens alive again, `clear_scores` comes with the prompt alone).
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.host.builder import JobBuilder
from spatten_hw.host.job import LayerJob
from spatten_hw.host.layout import Arena, Plane
from spatten_hw.host.shape import LayerShape, check_fits, longest_prompt
from spatten_hw.host.workload.schedule import LayerCounts

from .model import OPERANDS, DecoderModel
from .settings import DecoderSettings


class DecoderJobs:
    """Jobs of `model` on `config` under `settings`, for a prompt of `prompt` tokens.

    `scales`: "q" → float64 [layers, heads], "k", "v" → [layers, K/V heads], static: the model's peaks over the largest
    code. `out_unit`: real value of an output integer, the same everywhere, so that importance of heads adds up over
    layers. `planes`: per layer, by name. Raises `UserError` if the build is too small.
    """

    def __init__(self, model: DecoderModel, config: SpAttenConfig, settings: DecoderSettings, prompt: int):
        check_build(model, config, settings, prompt)
        self.model, self.config, self.settings = model, config, settings
        self.scales = {name: model.peaks[name] / ((1 << (settings.bits[name] - 1)) - 1) for name in OPERANDS}
        self.out_unit = float(model.peaks["v"].max()) / ((1 << (OUT_BITS - 1)) - 1)
        self.builder = JobBuilder(config, shape_of(model), settings.precision, Arena(config))
        self._scales = [self.builder.scales({name: self.scales[name][layer] for name in OPERANDS}, self.out_unit)
                        for layer in range(model.layers)]
        # K's planes serve the prompt as well as the steps.
        self.planes = [self.builder.key_value_planes(model.context) for _ in range(model.layers)]
        # Where several tokens may come at any time, there is room for as many as the context has.
        self.any = bool(config.chunk_queries)
        self._q = self.builder.query_plane(model.context if self.any else prompt)
        self._out = {rows: self.builder.out_plane(rows) for rows in ({model.context} if self.any else {1, prompt})}
        self.ids, self.descriptor = self.builder.ids(model.context), self.builder.descriptor()

    def query_planes(self, rows: int) -> tuple[Plane, Plane]:
        """The planes of `rows` queries and of their outputs: one or the prompt's, or any number on a build with
        `chunk_queries`."""
        if self.any:
            return self._q.shortened(rows), self._out[self.model.context].shortened(rows)
        return self._q, self._out[rows]

    def prompt(self, layer: int, tokens: int, keep: LayerCounts) -> LayerJob:
        """The causal pass over `tokens` tokens; scores start at 0 in the first layer. A prompt that the SRAMs do not
        hold is one of queries that stream K and V, block by block (a build with `chunk_queries`)."""
        first = int(layer == 0)
        if tokens > longest_prompt(self.config, self.model.dim):
            return self.several(layer, tokens, tokens, keep, clear_scores=first)
        return self._job(layer, tokens, tokens, causal=1, restart=first, clear_scores=first,
                         keep_values=keep.values[layer])

    def several(self, layer: int, tokens: int, queries: int, keep: LayerCounts, **fields: int) -> LayerJob:
        """The newest `queries` of `tokens` tokens as queries, each of tokens up to its own (a build with
        `chunk_queries`); like a prompt it keeps all tokens and heads."""
        return self._job(layer, tokens, queries, generate=1, queries=queries, causal=1, restart=int(layer == 0),
                         keep_values=keep.values[layer], **fields)

    def step(self, layer: int, tokens: int, keep: LayerCounts) -> LayerJob:
        """The newest of `tokens` tokens as the only query; scores go on."""
        s = self.settings
        return self._job(layer, tokens, 1, generate=1, restart=int(layer == 0),
                         keep_tokens=keep.tokens[layer], keep_heads=keep.heads[layer], keep_values=keep.values[layer],
                         protect_first=min(s.protect_first, tokens), protect_last=min(s.protect_last, tokens))

    def _job(self, layer: int, tokens: int, rows: int, **fields: int) -> LayerJob:
        q, out = self.query_planes(rows)
        return self.builder.job({**self.planes[layer], "q": q, "out": out}, tokens, self._scales[layer],
                                self.descriptor, store_ids=1, ids_out=self.ids, **fields)


def shape_of(model: DecoderModel) -> LayerShape:
    """The shape of a layer."""
    return LayerShape(model.dim, model.kv_heads, model.heads // model.kv_heads)


def check_build(model: DecoderModel, config: SpAttenConfig, settings: DecoderSettings, prompt: int) -> None:
    """Refuses a build that is too small for the model, or for the prompt."""
    check_fits(model.title, config, shape_of(model), settings.precision, tokens=model.context,
               prompt=0 if config.chunk_queries else prompt)


def real_rows(x: np.ndarray) -> np.ndarray:
    """The model's rows [tokens, heads, dim] as the accelerator has them, float64 [heads, tokens, dim]."""
    return np.swapaxes(np.asarray(x, dtype=np.float64), 0, 1)
