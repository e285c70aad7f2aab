"""Models that see a whole text at once, under a point: the sentence encoder, and what it has in common with others."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.golden.batch import BatchAccelerator
from spatten_hw.sim.golden.batch_operands import key_rows, value_rows
from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.models.encoder import Encoder, Tokens
from spatten_hw.sim.models.pruned import DENSE, LayerTask, PrunedEncoder, dense_bytes

from .point import Point
from .ranking import similarities, spearman
from .tally import Tally


@dataclass
class BatchEngine:
    """The golden model for a `PrunedEncoder`, all heads of a text together; what it costs goes to `tally`."""

    config: SpAttenConfig
    tally: Tally
    watch: bool = False

    def __post_init__(self) -> None:
        self.accelerator = BatchAccelerator(self.config, 1)
        if self.watch:
            self.accelerator.watch = self.tally.watch

    def __call__(self, task: LayerTask) -> LayerResult:
        p, job = task.layer_pass, task.layer_pass.job
        result = self.accelerator.run(
            job, p.q[None], key_rows(p.k[None], job.q_bits, job.k_msb + job.k_lsb, job.k_lsb),
            value_rows(p.v[None], job.v_msb + job.v_lsb, job.v_lsb), descriptor=p.descriptor)
        self.tally.add(result)
        return result.one(0)


def dense_macs(model: Encoder, tokens: int) -> int:
    """Multiply-accumulates of Q×K and Prob×V with nothing pruned."""
    return 2 * model.layers * model.heads * tokens * tokens * model.dim


class EncoderBench(abc.ABC):
    """Texts, and what the float model makes of them (`floats`), to compare with."""

    def __init__(self, model: Encoder, config: SpAttenConfig, texts: Sequence[Tokens]):
        self.model, self.config, self.texts = model, config, list(texts)
        check = PrunedEncoder(model, config, DENSE)
        for tokens in self.texts:
            check.check(len(tokens))
        self.floats = np.stack([model.encode(t) for t in self.texts])

    @abc.abstractmethod
    def accuracy(self, outputs: np.ndarray) -> dict[str, object]:
        """What a point's outputs, of `floats`' shape, are worth, as it goes to JSON; `loss`: against float."""

    def pruned(self, point: Point) -> PrunedEncoder:
        """The model under a point that has bits."""
        return PrunedEncoder(self.model, self.config, point.schedule, point.precision, point.pool_dropped)

    def measure(self, point: Point) -> dict[str, object]:
        """Accuracy and costs of a point, as they go to JSON."""
        if point.bits is None:
            return self.accuracy(self.floats)
        tally = Tally()
        # What LSBs would have changed is only seen where none are fetched.
        watch = bool(point.bits[1]) and point.threshold == 0 and not point.prunes
        engine, encoder = BatchEngine(self.config, tally, watch), self.pruned(point)
        outputs = np.stack([encoder.encode(t, engine).vector for t in self.texts])
        lengths = [len(t) for t in self.texts]
        return self.accuracy(outputs) | tally.record(sum(dense_bytes(self.model, n) for n in lengths),
                                                     sum(dense_macs(self.model, n) for n in lengths))


class SentenceBench(EncoderBench):
    """The sentence encoder: cosines with the float vectors, and the ranking of all pairs of sentences."""

    def accuracy(self, outputs: np.ndarray) -> dict[str, object]:
        """`loss`: what is lost of the ranking, 1 − Spearman."""
        cosines = (outputs * self.floats).sum(axis=1)
        rho = spearman(similarities(outputs), similarities(self.floats))
        return {"sentences": len(outputs), "cosine_mean": float(cosines.mean()), "cosine_least": float(cosines.min()),
                "spearman": rho, "loss": 1 - rho}
