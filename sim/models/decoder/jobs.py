"""The layer jobs of a decoder with a KV cache: a causal prompt, then one generation job per layer and token.

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
from spatten_hw.host.shape import LayerShape, check_fits
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
        self.q = self.builder.query_plane(prompt)
        self.out = {rows: self.builder.out_plane(rows) for rows in {1, prompt}}
        self.ids, self.descriptor = self.builder.ids(model.context), self.builder.descriptor()

    def prompt(self, layer: int, tokens: int, keep: LayerCounts) -> LayerJob:
        """The causal pass over `tokens` tokens; scores start at 0 in the first layer."""
        first = int(layer == 0)
        return self._job(layer, tokens, self.out[tokens], causal=1, restart=first, clear_scores=first,
                         keep_values=keep.values[layer])

    def step(self, layer: int, tokens: int, keep: LayerCounts) -> LayerJob:
        """The newest of `tokens` tokens as the only query; scores go on."""
        s = self.settings
        return self._job(layer, tokens, self.out[1], generate=1, restart=int(layer == 0),
                         keep_tokens=keep.tokens[layer], keep_heads=keep.heads[layer], keep_values=keep.values[layer],
                         protect_first=min(s.protect_first, tokens), protect_last=min(s.protect_last, tokens))

    def _job(self, layer: int, tokens: int, out: Plane, **fields: int) -> LayerJob:
        return self.builder.job({**self.planes[layer], "q": self.q, "out": out}, tokens, self._scales[layer],
                                self.descriptor, store_ids=1, ids_out=self.ids, **fields)


def shape_of(model: DecoderModel) -> LayerShape:
    """The shape of a layer."""
    return LayerShape(model.dim, model.kv_heads, model.heads // model.kv_heads)


def check_build(model: DecoderModel, config: SpAttenConfig, settings: DecoderSettings, prompt: int) -> None:
    """Refuses a build that is too small for the model, or for the prompt."""
    check_fits(model.title, config, shape_of(model), settings.precision, tokens=model.context,
               prompt=prompt)


def real_rows(x: np.ndarray) -> np.ndarray:
    """The model's rows [tokens, heads, dim] as the accelerator has them, float64 [heads, tokens, dim]."""
    return np.swapaxes(np.asarray(x, dtype=np.float64), 0, 1)
