"""Attention with a KV cache for many sequences in lockstep: the accelerator's integers, or the same pruning in float64.

A model's rows are [sequences, rows, heads, D] here, engines' [sequences, heads, rows, D].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from spatten_hw.host.job import LayerJob
from spatten_hw.host.quantise import codes_of
from spatten_hw.host.workload import TOKEN_SCORE_UNIT
from spatten_hw.sim.golden.batch import BatchAccelerator, BatchResult
from spatten_hw.sim.golden.batch_float import BatchFloat
from spatten_hw.sim.golden.batch_operands import Rows, score_type, value_type
from spatten_hw.sim.models.decoder.jobs import DecoderJobs

from .tally import Tally

#: Told of every job and its integers: q, then K and V [sequences, heads, tokens, D], and what came of it.
Spy = Callable[[int, LayerJob, np.ndarray, Rows, Rows, BatchResult], None]


class Attention(Protocol):
    """Attention with a KV cache. `run` takes a layer's new rows q, k, v, the first time those of the prompt, then of
    one token, and returns outputs of q's shape. `fill` takes a prompt that was computed elsewhere: rows k, v, its last
    rows q, and the importance [sequences, kv_heads, tokens] of its tokens. The layers come in order."""

    def run(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray: ...
    def fill(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray, importance: np.ndarray) -> None: ...


class Engine(Attention, Protocol):
    """Attention that knows its costs: `tallies` of "prompt" and "steps", empty where it has none; `held`: tokens that a
    step found in the cache, added up over steps and layers."""

    @property
    def tallies(self) -> dict[str, Tally]: ...
    @property
    def held(self) -> int: ...


def by_head(x: np.ndarray) -> np.ndarray:
    """[sequences, rows, heads, D] ↔ [sequences, heads, rows, D]."""
    return np.swapaxes(x, 1, 2)


class Pace:
    """Which job comes next: `tokens` seen, and the job of a layer for `rows` more of them."""

    def __init__(self, jobs: DecoderJobs):
        self.jobs, self.tokens = jobs, 0

    def job(self, layer: int, rows: int) -> LayerJob:
        model, s = self.jobs.model, self.jobs.settings
        prompt = self.tokens == 0 or (self.tokens == rows and layer > 0)
        if layer == 0:
            self.tokens += rows
            self.keep = s.schedule.counts(model.layers, self.tokens, model.kv_heads, s.protected,
                                          prune_tokens=not prompt)
        return (self.jobs.prompt if prompt else self.jobs.step)(layer, self.tokens, self.keep)


def codes(jobs: DecoderJobs, layer: int, **rows: np.ndarray) -> list[np.ndarray]:
    """Integers of real rows `q`, `k`, `v`, by head."""
    return [by_head(codes_of(x, jobs.scales[name][layer][:, None], jobs.settings.bits[name]))
            for name, x in rows.items()]


def empty_rows(jobs: DecoderJobs, sequences: int, tokens: int) -> tuple[Rows, Rows]:
    """Room for K and V of a layer."""
    model, s = jobs.model, jobs.settings
    shape = (sequences, model.kv_heads, tokens, model.dim)
    return (Rows.empty(shape, s.k_bits[1], score_type(model.dim, s.q_bits, s.bits["k"])),
            Rows.empty(shape, s.v_bits[1], value_type(jobs.config.max_tokens, s.bits["v"])))


class GoldenAttention:
    """The accelerator's integers; the cost of prompts and of steps goes to two tallies. `watch`: also what MSBs alone
    get wrong."""

    def __init__(self, jobs: DecoderJobs, sequences: int, spy: Spy | None = None, watch: bool = False):
        self.jobs, self.spy, self.watch, self.pace = jobs, spy, watch, Pace(jobs)
        self.accelerator = BatchAccelerator(jobs.config, sequences)
        self.tallies = {"prompt": Tally(), "steps": Tally()}
        self.held = 0
        self.caches = [empty_rows(jobs, sequences, jobs.model.context) for _ in range(jobs.model.layers)]

    def run(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        jobs, job = self.jobs, self.pace.job(layer, q.shape[1])
        new_q, = codes(jobs, layer, q=q)
        self._put(layer, slice(job.tokens - q.shape[1], job.tokens), k, v)
        keys, values = (cache.first(job.tokens) for cache in self.caches[layer])
        tally = self.tallies["steps" if job.generate else "prompt"]
        self.accelerator.watch = tally.watch if self.watch else None
        result = self.accelerator.run(job, new_q, keys, values, descriptor=jobs.descriptor)
        tally.add(result)
        self.held += job.tokens * job.generate
        if self.spy is not None:
            self.spy(layer, job, new_q, keys, values, result)
        return by_head(result.out) * jobs.out_unit

    def fill(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray, importance: np.ndarray) -> None:
        self.pace.tokens = k.shape[1]
        self._put(layer, slice(0, k.shape[1]), k, v)
        self.accelerator.cascade.add(np.rint(importance.sum(axis=1) / TOKEN_SCORE_UNIT))

    def _put(self, layer: int, where: slice, k: np.ndarray, v: np.ndarray) -> None:
        s = self.jobs.settings
        for cache, rows, lsb, midpoint in zip(self.caches[layer], codes(self.jobs, layer, k=k, v=v),
                                              (s.k_bits[1], s.v_bits[1]), (False, True), strict=True):
            cache.put(where, rows, lsb, midpoint)


class FloatAttention:
    """The same pruning in float64."""

    def __init__(self, jobs: DecoderJobs, sequences: int):
        model = jobs.model
        self.engine, self.pace = BatchFloat(jobs.config, sequences), Pace(jobs)
        self.tallies: dict[str, Tally] = {}
        self.held = 0
        self.caches = np.zeros((model.layers, 2, sequences, model.kv_heads, model.context, model.dim))

    def run(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        job = self.pace.job(layer, q.shape[1])
        self.held += job.tokens * job.generate
        self._put(layer, slice(job.tokens - q.shape[1], job.tokens), k, v)
        keys, values = self.caches[layer]
        keys, values = keys[:, :, :job.tokens], values[:, :, :job.tokens]
        return by_head(self.engine.run(job, by_head(q).astype(np.float64), keys, values))

    def fill(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray, importance: np.ndarray) -> None:
        self.pace.tokens = k.shape[1]
        self._put(layer, slice(0, k.shape[1]), k, v)
        self.engine.cascade.add(importance.sum(axis=1))

    def _put(self, layer: int, where: slice, k: np.ndarray, v: np.ndarray) -> None:
        for cache, rows in zip(self.caches[layer], (k, v), strict=True):
            cache[:, :, where] = by_head(rows)
