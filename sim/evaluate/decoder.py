"""The GPT under a point: perplexity on held-out text by teacher forcing, many windows in lockstep.

Jobs are those of `spatten-hw generate-text`. The first half of every window is the prompt; then the text's own tokens
are fed one by one, and the logits of each step predict the next: one causal job per layer, then one generation job per
layer and token. Importance accumulates; every step restarts from all tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.builder import dense_rows_bytes
from spatten_hw.host.job import LayerJob
from spatten_hw.host.quantise import codes_of
from spatten_hw.sim.golden.batch import BatchAccelerator, BatchResult
from spatten_hw.sim.golden.batch_float import BatchFloat
from spatten_hw.sim.golden.batch_operands import Rows, score_type, value_type
from spatten_hw.sim.models.decoder.jobs import DecoderJobs
from spatten_hw.sim.models.gpt.model import Gpt
from spatten_hw.sim.models.gpt.perplexity import cross_entropy

from .point import Point
from .tally import Tally

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
        model, s = jobs.model, jobs.settings
        shape = (sequences, model.heads, model.context, model.dim)
        self.caches = [(Rows.empty(shape, s.k_bits[1], score_type(model.dim, s.q_bits, s.bits["k"])),
                        Rows.empty(shape, s.v_bits[1], value_type(model.context, s.bits["v"])))
                       for _ in range(model.layers)]

    def run(self, layer: int, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        jobs, where = self.jobs, slice(job.tokens - q.shape[1], job.tokens)
        codes = [_by_head(codes_of(x, jobs.scales[name][layer][:, None], jobs.settings.bits[name]))
                 for name, x in (("q", q), ("k", k), ("v", v))]
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

    model: Gpt
    config: SpAttenConfig
    windows: np.ndarray
    prompt: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = self.model.context // 2
        self.jobs(Point("decoder", None))  # refuses a build that is too small

    def jobs(self, point: Point) -> DecoderJobs:
        """The jobs of `spatten-hw generate-text` under a point."""
        return DecoderJobs(self.model, self.config, point.gpt_settings, self.prompt)

    def losses(self, jobs: DecoderJobs, attention: Attention, steps: int | None = None) -> np.ndarray:
        """−ln p of the text's next token [windows, steps], for the first `steps` predictions after the prompt."""
        model, ids, s = self.model, self.windows, jobs.settings
        last = self.prompt + (model.context - self.prompt if steps is None else steps)
        keep = s.schedule.counts(model.layers, self.prompt, model.heads, s.protected, prune_tokens=False)
        x = model.embed(ids[:, :self.prompt], np.arange(self.prompt))
        for layer in range(model.layers):
            out = attention.run(layer, jobs.prompt(layer, self.prompt, keep), *model.project(layer, x))
            x = model.finish(layer, x, out)
        losses = []
        for at in range(self.prompt, last):
            keep = s.schedule.counts(model.layers, at + 1, model.heads, s.protected)
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
        losses = self.losses(jobs, attention)
        result: dict[str, object] = {"predictions": losses.size, "cross_entropy": float(losses.mean()),
                                     "perplexity": float(np.exp(losses.mean()))}
        if isinstance(attention, GoldenAttention):
            model, context = self.model, self.model.context
            prompt = sequences * dense_bytes(model, self.prompt, self.prompt)
            prompt_macs = sequences * dense_macs(model, self.prompt)
            whole = sequences * dense_bytes(model, self.prompt, context)
            whole_macs = sequences * dense_macs(model, context)
            result["prompt"] = attention.tallies["prompt"].record(prompt, prompt_macs)
            result["steps"] = attention.tallies["steps"].record(whole - prompt, whole_macs - prompt_macs)
            both = attention.tallies["prompt"] + attention.tallies["steps"]
            result |= both.record(whole, whole_macs)
        return result


def dense_bytes(model: Gpt, prompt: int, last: int) -> int:
    """Bytes of one sequence, dense in 12 bits with 16-bit outputs, every row once: a prompt, then steps with prompt + 1
    … `last` tokens in context."""
    keys = prompt + sum(range(prompt + 1, last + 1))
    return model.layers * dense_rows_bytes(model.heads * last, model.heads * keys, model.dim)


def dense_macs(model: Gpt, last: int) -> int:
    """Multiply-accumulates of Q×K and Prob×V: each of `last` queries with every token up to its own."""
    return 2 * model.layers * model.heads * model.dim * (last * (last + 1) // 2)
