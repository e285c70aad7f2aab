"""The GPT under a point: perplexity on held-out text by teacher forcing, many windows in lockstep.

The first half of every window is the prompt. Then the text's own tokens are fed one by one, and the logits of each step
predict the next: one causal job per layer, then one generation job per layer and token. Importance accumulates; every
step restarts from all tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sim.golden.batch import BatchAccelerator, BatchResult
from sim.golden.batch_float import BatchFloat
from sim.golden.batch_operands import Rows, score_type, value_type
from sim.models.gpt.perplexity import cross_entropy
from sim.models.precision import Precision
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.job import LayerJob
from spatten_hw.host.quantise import codes_of

from .decoder_jobs import Decoder, DecoderJobs, check_build, dense_bytes, dense_macs
from .point import Point
from .tally import Tally

#: First tokens that are never pruned.
PROTECT_FIRST = 1

#: Told of every job and its integers: q, then K and V [sequences, heads, tokens, D], and what came of it.
Spy = Callable[[int, LayerJob, np.ndarray, Rows, Rows, BatchResult], None]


class Attention(Protocol):
    """Attention with a KV cache. `run` takes the job of a layer and its new rows q, k, v [sequences, rows, heads, D],
    the last of its tokens, and returns outputs of the same shape."""

    def run(self, layer: int, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray: ...


def _by_head(x: np.ndarray) -> np.ndarray:
    """[sequences, rows, heads, D] ↔ [sequences, heads, rows, D]."""
    return np.swapaxes(x, 1, 2)


class GoldenAttention:
    """The accelerator's integers; the cost of prompts and of steps goes to two tallies. `watch`: also what MSBs alone
    get wrong."""

    def __init__(self, jobs: DecoderJobs, sequences: int, spy: Spy | None = None, watch: bool = False):
        self.jobs, self.spy, self.watch = jobs, spy, watch
        self.accelerator = BatchAccelerator(jobs.config, sequences)
        self.tallies = {"prompt": Tally(), "steps": Tally()}
        model, p = jobs.model, jobs.precision
        shape = (sequences, model.heads, model.context, model.dim)
        self.caches = [(Rows.empty(shape, p.k_bits[1], score_type(model.dim, p.q_bits, sum(p.k_bits))),
                        Rows.empty(shape, p.v_bits[1], value_type(model.context, sum(p.v_bits))))
                       for _ in range(model.layers)]

    def run(self, layer: int, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        jobs, where = self.jobs, slice(job.tokens - q.shape[1], job.tokens)
        codes = [_by_head(codes_of(x, jobs.scales[name][layer][:, None], bits))
                 for name, x, bits in zip("qkv", (q, k, v), jobs.precision.whole, strict=True)]
        for cache, new, lsb, midpoint in zip(self.caches[layer], codes[1:], (job.k_lsb, job.v_lsb), (False, True),
                                             strict=True):
            cache.put(where, new, lsb, midpoint)
        keys, values = (cache.first(job.tokens) for cache in self.caches[layer])
        tally = self.tallies["steps" if job.generate else "prompt"]
        self.accelerator.watch = tally.watch if self.watch else None
        result = self.accelerator.run(job, codes[0], keys, values, descriptor=jobs.descriptor)
        tally.add(result)
        if self.spy is not None:
            self.spy(layer, job, codes[0], keys, values, result)
        return _by_head(result.out) * jobs.out_unit


class FloatAttention:
    """The same pruning in float64."""

    def __init__(self, jobs: DecoderJobs, sequences: int):
        model = jobs.model
        self.engine = BatchFloat(jobs.config, sequences)
        self.caches = np.zeros((model.layers, 2, sequences, model.heads, model.context, model.dim))

    def run(self, layer: int, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        keys, values = self.caches[layer]
        keys[:, :, job.tokens - q.shape[1]:job.tokens] = _by_head(k)
        values[:, :, job.tokens - q.shape[1]:job.tokens] = _by_head(v)
        out = self.engine.run(job, _by_head(q).astype(np.float64), keys[:, :, :job.tokens], values[:, :, :job.tokens])
        return _by_head(out)


def windows_of(ids: np.ndarray, length: int, count: int) -> np.ndarray:
    """`count` windows [count, length] of token ids, evenly spread, none overlapping. Raises `UserError`."""
    possible = len(ids) // length
    if count > possible:
        raise UserError(f"--windows {count}: the text has {len(ids)} characters, enough for {possible} windows of "
                        f"{length}; ask for fewer or give a longer text")
    gap = (len(ids) - length) / max(1, count - 1) if count > 1 else 0
    starts = [int(i * gap) for i in range(count)]
    return np.stack([ids[s:s + length] for s in starts])


@dataclass
class DecoderBench:
    """Windows of text [windows, context + 1] for a model; the first half of each is its prompt."""

    model: Decoder
    config: SpAttenConfig
    windows: np.ndarray
    prompt: int = field(init=False)

    def __post_init__(self) -> None:
        check_build(self.model, self.config)
        self.prompt = self.model.context // 2

    def jobs(self, point: Point) -> DecoderJobs:
        # In float64 widths mean nothing, but jobs have some.
        precision = Precision(8, (8, 0), (8, 0)) if point.bits is None else point.precision
        return DecoderJobs(self.config, self.model, precision, self.prompt, PROTECT_FIRST, point.protect_last)

    def losses(self, jobs: DecoderJobs, point: Point, attention: Attention, steps: int | None = None) -> np.ndarray:
        """−ln p of the text's next token [windows, steps], for the first `steps` predictions after the prompt."""
        model, ids = self.model, self.windows
        last = self.prompt + (model.context - self.prompt if steps is None else steps)
        protected = PROTECT_FIRST + point.protect_last
        x = model.embed(ids[:, :self.prompt], np.arange(self.prompt))
        for layer in range(model.layers):
            out = attention.run(layer, jobs.prompt(layer, self.prompt), *model.project(layer, x))
            x = model.finish(layer, x, out)
        losses = []
        for at in range(self.prompt, last):
            keep = point.schedule.counts(model.layers, at + 1, model.heads, protected)
            x = model.embed(ids[:, at:at + 1], np.array([at]))
            for layer in range(model.layers):
                out = attention.run(layer, jobs.step(layer, at + 1, keep), *model.project(layer, x))
                x = model.finish(layer, x, out)
            losses.append(cross_entropy(model.logits(x)[:, 0], ids[:, at + 1]))
        return np.stack(losses, axis=1)

    def measure(self, point: Point) -> dict[str, object]:
        """Accuracy and costs of a point, as they go to JSON: perplexity per character."""
        jobs, sequences = self.jobs(point), len(self.windows)
        attention: GoldenAttention | FloatAttention
        if point.bits is None:
            attention = FloatAttention(jobs, sequences)
        else:
            # What LSBs would have changed is only seen where none are fetched.
            watch = bool(point.bits[1]) and point.threshold == 0 and not point.prunes
            attention = GoldenAttention(jobs, sequences, watch=watch)
        losses = self.losses(jobs, point, attention)
        result: dict[str, object] = {"predictions": losses.size, "cross_entropy": float(losses.mean()),
                                     "perplexity": float(np.exp(losses.mean()))}
        if isinstance(attention, GoldenAttention):
            model, context = self.model, self.model.context
            prompt = sequences * dense_bytes(model, self.prompt, self.prompt)
            prompt_macs = sequences * dense_macs(model, self.prompt, self.prompt)
            whole = sequences * dense_bytes(model, self.prompt, context)
            whole_macs = sequences * dense_macs(model, self.prompt, context)
            result["prompt"] = attention.tallies["prompt"].record(prompt, prompt_macs)
            result["steps"] = attention.tallies["steps"].record(whole - prompt, whole_macs - prompt_macs)
            both = attention.tallies["prompt"] + attention.tallies["steps"]
            result |= both.record(whole, whole_macs)
        return result
