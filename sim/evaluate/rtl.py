"""Spot checks: some of the same inputs on the generated Verilog, compared with the batches bit for bit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.host.plan import LayerPass
from spatten_hw.sim.golden.batch import BatchResult
from spatten_hw.sim.golden.batch_operands import Rows
from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.models.decoder.jobs import DecoderJobs
from spatten_hw.sim.models.engines import HardwareEngine, Outcome
from spatten_hw.sim.models.pruned import LayerTask

from .decoder import DecoderBench
from .encoder import BatchEngine, EncoderBench
from .point import Point
from .tally import Tally

#: Generation steps that one window runs after its prompt.
STEPS = 2


@dataclass
class SpotCheck:
    """Layers that ran on `engine` (the hardware; it compares itself with the golden model) and what differed."""

    engine: Callable[[LayerTask], Outcome]
    layers: int = 0
    cycles: int = 0
    mismatches: list[str] = field(default_factory=list)

    def compare(self, task: LayerTask, expected: LayerResult) -> None:
        """Runs a layer and compares outputs, survivors and bytes with those of a batch."""
        outcome = self.engine(task)
        self.layers += 1
        self.cycles += getattr(outcome, "cycles", 0)
        for name, same in (("outputs", np.array_equal(outcome.out, expected.out)),
                           ("tokens", np.array_equal(outcome.tokens_alive, expected.tokens_alive)),
                           ("heads", np.array_equal(outcome.heads_alive, expected.heads_alive)),
                           ("bytes", dict(outcome.bytes) == dict(expected.bytes))):
            if not same:
                self.mismatches.append(f"{task.layer_pass.name}: {name} differ from the batch's")
        self.mismatches += getattr(self.engine, "mismatches", [])
        if hasattr(self.engine, "mismatches"):
            self.engine.mismatches = []

    def encoder(self, bench: EncoderBench, point: Point, count: int) -> None:
        """`count` texts, evenly spread over those measured."""
        encoder, batch = bench.pruned(point), BatchEngine(bench.config, Tally())

        def both(task: LayerTask) -> LayerResult:
            result = batch(task)
            self.compare(task, result)
            return result

        total = len(bench.texts)
        for i in range(min(count, total)):
            encoder.encode(bench.texts[i * total // min(count, total)], both)

    #: The classifier is an encoder with other outputs.
    classifier = encoder

    def decoder(self, bench: DecoderBench, point: Point, count: int) -> None:
        """The prompt and first `STEPS` steps of `count` windows, evenly spread over those measured."""
        total = len(bench.windows)
        for i in range(min(count, total)):
            at = i * total // min(count, total)
            one = bench.part(at)
            jobs = one.jobs(point)

            def spy(layer: int, job: LayerJob, q: np.ndarray, k: Rows, v: Rows, result: BatchResult,
                    jobs: DecoderJobs = jobs) -> None:
                self.compare(_task(jobs, layer, job, q, k, v), result.one(0))

            one.losses(point, one.scaled(point, one.attention(point, spy)), STEPS)

    #: The language model is a decoder too; its prompts run under a point that says so (`prompt_here`).
    smollm2 = decoder


def _task(jobs: DecoderJobs, layer: int, job: LayerJob, q: np.ndarray, k: Rows, v: Rows) -> LayerTask:
    """A job of a batch of one sequence as a layer for the hardware, whole K and V planes written anew."""
    codes = {"q": q[0], "k": k.full[0].astype(np.int64), "v": v.full[0].astype(np.int64)}
    images = []
    q_plane, out_plane = jobs.query_planes(q.shape[2])
    for name, values, bits in jobs.builder.parts(**codes):
        images.append(({**jobs.planes[layer], "q": q_plane}[name], values, bits))
    name = f"{job.tokens} tokens, layer {layer}" if job.generate else f"prompt, layer {layer}"
    # Step 0: planes are written before it.
    layer_pass = LayerPass(0, layer, job, jobs.descriptor, out_plane, codes["q"], codes["k"], codes["v"],
                           label=name)
    return LayerTask(layer_pass, tuple(images))


@contextlib.contextmanager
def hardware(config: SpAttenConfig, say: Callable[[str], None]) -> Iterator[SpotCheck]:
    """A spot check on the simulation of `config`'s Verilog; it is built if it is not yet."""
    from spatten_hw.sim.harness.transport import VerilatedTransport

    with VerilatedTransport(config, progress=lambda text: say(f"building the simulation: {text}")) as transport:
        yield SpotCheck(HardwareEngine(config, transport))
