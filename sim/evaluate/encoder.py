"""The sentence encoder under a point: cosines with the float vectors, and the ranking of all pairs of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.golden.batch import BatchAccelerator
from spatten_hw.sim.golden.batch_operands import key_rows, value_rows
from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.models.minilm import MiniLM, Tokens
from spatten_hw.sim.models.pruned import LayerTask, PrunedEncoder, dense_bytes

from .point import Point
from .ranking import similarities, spearman
from .tally import Tally


@dataclass
class BatchEngine:
    """The golden model for a `PrunedEncoder`, all heads of a sentence together; what it costs goes to `tally`."""

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


def dense_macs(model: MiniLM, tokens: int) -> int:
    """Multiply-accumulates of Q×K and Prob×V with nothing pruned."""
    return 2 * model.layers * model.heads * tokens * tokens * model.dim


class EncoderBench:
    """Sentences, and their float vectors to compare with."""

    def __init__(self, model: MiniLM, config: SpAttenConfig, texts: Sequence[str], vectors: np.ndarray | None = None):
        self.model, self.config = model, config
        self.sentences: list[Tokens] = [model.tokenize(t) for t in texts]
        check = PrunedEncoder(model, config, Point("encoder").schedule)
        for tokens in self.sentences:
            check.check(len(tokens))
        self.vectors = np.stack([model.encode(t) for t in self.sentences]) if vectors is None else vectors

    def measure(self, point: Point) -> dict[str, object]:
        """Accuracy and costs of a point, as they go to JSON. `loss`: what is lost of the ranking, 1 − Spearman."""
        tally = Tally()
        if point.bits is None:
            vectors = self.vectors
        else:
            # What LSBs would have changed is only seen where none are fetched.
            watch = bool(point.bits[1]) and point.threshold == 0 and not point.prunes
            engine = BatchEngine(self.config, tally, watch)
            encoder = PrunedEncoder(self.model, self.config, point.schedule, point.precision,
                                    point.pool_dropped)
            vectors = np.stack([encoder.encode(t, engine).vector for t in self.sentences])
        cosines = (vectors * self.vectors).sum(axis=1)
        rho = spearman(similarities(vectors), similarities(self.vectors))
        result: dict[str, object] = {
            "sentences": len(vectors), "cosine_mean": float(cosines.mean()), "cosine_least": float(cosines.min()),
            "spearman": rho, "loss": 1 - rho}
        if point.bits is not None:
            lengths = [len(t) for t in self.sentences]
            result |= tally.record(sum(dense_bytes(self.model, n) for n in lengths),
                                   sum(dense_macs(self.model, n) for n in lengths))
        return result
