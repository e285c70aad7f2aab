"""A sequence being generated: the model's blocks on the host, attention on an engine, K and V in its memory.

The prompt is one causal summarisation job per layer; every further token one generation job per layer, whose new rows
of K and V are all that is written. Tokens that come together, as the next turn of a conversation does, are one job per
layer on a build with `chunk_queries`, else one each. `jobs.py` says what is pruned when.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.builder import dense_rows_bytes
from spatten_hw.host.job import LayerJob
from spatten_hw.host.plan import LayerPass
from spatten_hw.host.workload.fixed_schedule import FixedCounts
from spatten_hw.interface.descriptor import MOST_QUERIES

from .attention import Attention, PassResult
from .cache import CacheTask, KvCache, Rows, folded, unfolded
from .jobs import DecoderJobs, real_rows
from .model import OPERANDS, DecoderModel
from .settings import DecoderSettings


@dataclass(frozen=True)
class Trace:
    """A layer job that has run. `step`: 0 for the prompt and other tokens that were given, then 1 …; `tokens`: in
    context; `dense_bytes`: of the same attention dense in 12 bits, nothing pruned; `result.out` is dropped."""

    step: int
    layer: int
    tokens: int
    result: PassResult
    dense_bytes: int

    @property
    def by_position(self) -> PassResult:
        """The result, who took part and importance by the position of a token."""
        return self.result


class Session:
    """`model` on `config` under `settings`, attention computed by `attention`. `traces`: every job so far."""

    def __init__(self, model: DecoderModel, config: SpAttenConfig, settings: DecoderSettings, attention: Attention):
        self.model, self.config, self.settings, self.attention = model, config, settings, attention
        self.traces: list[Trace] = []
        self.tokens = 0
        self.steps = 0
        #: Several tokens may be one job.
        self.together = bool(config.chunk_queries)

    @property
    def reach(self) -> int | None:
        """Positions of tokens stay below it; None: they grow for ever."""
        return self.model.context

    def prompt(self, ids: tuple[int, ...]) -> np.ndarray:
        """Logits [vocabulary] after the prompt, which begins the sequence. Raises `UserError` if it is empty or too
        long."""
        if self.tokens:
            raise ValueError("a session has one prompt")
        if not ids:
            raise UserError(f"the prompt is empty: give at least one {self.model.unit}")
        check_length(self.model, len(ids), 0)
        self._prepare(len(ids))
        return self._run(np.array(ids))

    def check(self, prompt: int, count: int) -> None:
        """Refuses what cannot be generated: `count` tokens after a prompt of `prompt` tokens."""
        check_request(self.model, self.settings, prompt, count)

    def _prepare(self, prompt: int) -> None:
        """Makes jobs and cache, for a prompt of so many tokens."""
        self.jobs = DecoderJobs(self.model, self.config, self.settings, prompt)
        self.cache = KvCache(self.jobs)

    def _check_room(self) -> None:
        """Refuses a token more than there is room for."""
        check_length(self.model, self.tokens, 1)

    def step(self, token: int) -> np.ndarray:
        """Logits [vocabulary] after one more token."""
        if not self.tokens:
            raise ValueError("the prompt comes first")
        self._check_room()
        return self._run(np.array([token]))

    def more(self, ids: tuple[int, ...]) -> np.ndarray:
        """Logits [vocabulary] after several more tokens that are given, such as the next turn of a conversation."""
        if not self.tokens:
            raise ValueError("the prompt comes first")
        if not ids:
            raise UserError(f"nothing is given: give at least one {self.model.unit}")
        check_length(self.model, self.tokens, len(ids))
        size = MOST_QUERIES if self.together else 1
        for first in range(0, len(ids), size):
            self.steps = 0
            logits = self._run(np.array(ids[first:first + size]))
        return logits

    def _run(self, ids: np.ndarray) -> np.ndarray:
        model, s, first = self.model, self.settings, self.tokens
        self.prompting = first == 0
        tokens = first + len(ids)
        self.keep = s.schedule.counts(model.layers, tokens, model.kv_heads, s.protected,
                                      prune_tokens=len(ids) == 1 and not self.prompting)
        positions = np.arange(first, tokens)
        x = model.embed(ids, positions)
        for layer in range(model.layers):
            rows = dict(zip(OPERANDS, map(real_rows, model.project(layer, x, positions)), strict=True))
            out = self._attend(layer, first, folded(model, layer, rows))
            x = model.finish(layer, x, np.swapaxes(unfolded(model, layer, out), 0, 1))
        self.tokens = tokens
        self.steps += 1
        return model.logits(x[-1])

    def _attend(self, layer: int, first: int, new: dict[str, np.ndarray]) -> np.ndarray:
        """Outputs [heads, n, D] of a layer's folded rows "q", "k", "v" [heads, n, D] of the tokens from `first` on."""
        rows = new["q"].shape[1]
        tokens = first + rows
        if rows > 1 and not self.prompting:
            job = self.jobs.several(layer, tokens, rows, self.keep)
        else:
            job = (self.jobs.prompt if self.prompting else self.jobs.step)(layer, tokens, self.keep)
        written, q = self.cache.append(layer, first, new)
        label = f"token {self.steps}, layer {layer}" if self.steps else f"prompt, layer {layer}"
        result = self._compute(layer, job, written, new["q"], q, label)
        self._trace(layer, tokens, result, dense_rows_bytes(self.model.heads * rows, self.model.kv_heads * tokens,
                                                            self.model.dim))
        return result.out

    def _compute(self, layer: int, job: LayerJob, written: tuple[Rows, ...], real_q: np.ndarray, q: np.ndarray,
                 label: str) -> PassResult:
        """The job of a layer of `jobs` on the cache as it is, with Q real and in integers [heads, n, D]."""
        jobs, cache, n = self.jobs, self.cache, job.tokens
        k, v = (cache.codes[name][layer, :, :n] for name in ("k", "v"))
        real = real_q, cache.real["k"][layer, :, :n], cache.real["v"][layer, :, :n]
        # Step 0, whatever it is here: the driver writes the rows of those.
        p = LayerPass(0, layer, job, jobs.descriptor, jobs.query_planes(q.shape[1])[1], q, k, v, label=label)
        return self.attention(CacheTask(p, written, real), jobs.out_unit)

    def _trace(self, layer: int, tokens: int, result: PassResult, dense_bytes: int) -> None:
        self.traces.append(Trace(self.steps, layer, tokens, replace(result, out=np.zeros(0)), dense_bytes))


def check_length(model: DecoderModel, prompt: int, more: int) -> None:
    """Refuses more tokens than the model's context holds."""
    if prompt + more > model.context:
        what = f"{prompt} {model.unit}s"
        asked = f"{what} of prompt and {more} to generate are" if more else f"{what} are"
        raise UserError(f"{asked} more than the model's context of {model.context}: shorten the prompt or generate "
                        "fewer")


def check_counts(settings: DecoderSettings, model: DecoderModel, tokens: int) -> None:
    """Refuses a schedule that is not for this model, and fixed counts that a sequence of `tokens` never reaches."""
    schedule = settings.schedule
    if isinstance(schedule, FixedCounts):
        for name in ("keep_tokens", "keep_values"):
            value = getattr(schedule, name)
            for count in value if isinstance(value, tuple) else (value,):
                if count is not None and count > tokens:
                    raise UserError(f"{name} = {count}: prompt and generated text have {tokens} tokens together: keep "
                                    "fewer, or leave it out to keep all")
    schedule.counts(model.layers, tokens, model.kv_heads, settings.protected)


def check_request(model: DecoderModel, settings: DecoderSettings, prompt: int, count: int) -> None:
    """Refuses what cannot be generated: `count` tokens after a prompt of `prompt` tokens."""
    if count < 1:
        raise UserError(f"{count} tokens are to be generated: must be at least 1")
    if not prompt:
        raise UserError(f"the prompt is empty: give at least one {model.unit}")
    check_length(model, prompt, count)
    check_counts(settings, model, prompt + count)
