"""The record of an encoder whose attention runs on the accelerator: what its engine left behind, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from spatten_hw.host.workload import TOKEN_SCORE_UNIT
from spatten_hw.sim.models.engines import Scored
from spatten_hw.sim.models.pruned import LayerTask

from .record import LayerRecord, SequenceRecord, StepRecord


class ScoredEngine(Protocol):
    """What computes a layer."""

    def __call__(self, task: LayerTask) -> Scored: ...


@dataclass
class Watch:
    """`engine`, keeping a record of every layer of one sentence. `dense_bytes`: of a layer, dense in 12 bits;
    `out_unit`: real value of an output integer."""

    engine: ScoredEngine
    dense_bytes: int
    out_unit: float
    layers: list[LayerRecord] = field(default_factory=list)

    def __call__(self, task: LayerTask) -> Scored:
        outcome, job = self.engine(task), task.layer_pass.job
        self.layers.append(LayerRecord(
            task.layer_pass.layer, _ids(outcome.tokens_alive), _real(outcome.token_scores, TOKEN_SCORE_UNIT),
            job.heads, _ids(outcome.heads_alive), _real(outcome.head_scores, self.out_unit), outcome.queries,
            int(outcome.refetched.sum()), dict(outcome.bytes), self.dense_bytes, getattr(outcome, "cycles", None)))
        return outcome

    def sequence(self, label: str, tokens: tuple[str, ...], note: str) -> SequenceRecord:
        """The sentence, when it is done."""
        return SequenceRecord(label, tokens, (StepRecord("summarisation", tuple(self.layers)),), note)


def _ids(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())


def _real(scores: np.ndarray, unit: float) -> tuple[float, ...]:
    return tuple((scores * unit).tolist())
