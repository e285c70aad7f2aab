"""Jobs of caches from which tokens are dropped: each K/V head is a layer of its own to the accelerator.

So it has planes, jobs and scores of its own, and its importance is that of its own queries. Every job begins with all
tokens alive and scores of 0, and stores the scores: they are the importance that its queries gave. What is added up or
forgotten over jobs is the policy's, on the host.
"""

from __future__ import annotations

import copy
from typing import Any

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.sim.models.decoder.jobs import DecoderJobs
from spatten_hw.sim.models.decoder.model import DecoderModel
from spatten_hw.sim.models.decoder.settings import DecoderSettings


def heads_apart(model: DecoderModel, slots: int) -> DecoderModel:
    """The model with each K/V head as a layer of its own, layer · kv_heads + head, and room for `slots` tokens; for
    jobs alone."""
    apart: Any = copy.copy(model)
    apart.context = slots
    apart.layers, apart.heads, apart.kv_heads = model.layers * model.kv_heads, model.heads // model.kv_heads, 1
    apart.peaks = {name: x.reshape(apart.layers, -1) for name, x in model.peaks.items()}
    apart.folds = None
    if model.folds is not None:
        apart.folds = {name: x.reshape(apart.layers, 1, -1) for name, x in model.folds.items()}
    return apart


class HeadJobs(DecoderJobs):
    """Jobs of the K/V heads of a model (`model` has them apart), in planes of `slots` tokens."""

    def __init__(self, model: DecoderModel, config: SpAttenConfig, settings: DecoderSettings, prompt: int, slots: int):
        super().__init__(heads_apart(model, slots), config, settings, prompt)
        self.scores_out = self.builder.scores(self.model.context)

    def head(self, at: int, tokens: int, *, generate: bool) -> LayerJob:
        """The job of K/V head `at` over `tokens` tokens: a prompt, or one query."""
        rows = {"generate": 1} if generate else {"causal": 1}
        return self._job(at, tokens, 1 if generate else tokens, restart=1, clear_scores=1, store_scores=1,
                         scores_out=self.scores_out, **rows)
