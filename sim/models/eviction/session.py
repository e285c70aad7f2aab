"""A sequence with caches from which tokens are dropped for good, on any engine of attention.

Jobs are those of `jobs.py`, one per K/V head. After the prompt the rows that stay are moved to the first slots, by the
host, with the job of the first step; from then on memory stays as it is, except under a policy whose cache grows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.builder import dense_rows_bytes
from spatten_hw.sim.models.decoder.attention import Attention, PassResult
from spatten_hw.sim.models.decoder.cache import KvCache, Rows
from spatten_hw.sim.models.decoder.jobs import check_build
from spatten_hw.sim.models.decoder.session import Session, check_request
from spatten_hw.sim.models.decoder.settings import DecoderSettings
from spatten_hw.sim.models.llama.model import Llama

from .jobs import HeadJobs, heads_apart
from .policy import Eviction
from .sinks import Sinks
from .slots import Slots
from .trace import SlotTrace

_NONE = np.zeros(0)


class EvictingSession(Session):
    """`policy` keeps `cache` tokens of each K/V head, and at most `steps` tokens follow the prompt where it lets caches
    grow. Traces have a job per K/V head, layer · kv_heads + head, and who is alive by position."""

    jobs: HeadJobs
    model: Llama

    def __init__(self, model: Llama, config: SpAttenConfig, settings: DecoderSettings, attention: Attention,
                 policy: Eviction, cache: int, steps: int):
        super().__init__(model, config, settings, attention)
        self.policy, self.budget, self.room = policy, cache, steps
        self.together = False       # a token's slot is chosen when the one before has its own
        self.slots: list[Slots] = []
        self.moved: dict[int, tuple[Rows, ...]] = {}

    @property
    def reach(self) -> int | None:
        return None if self.policy.by_age else super().reach

    def check(self, prompt: int, count: int) -> None:
        """A cache of fixed size has room for ever where positions are counted within it (`Sinks`)."""
        check_request(self.model, self.settings, prompt, 1 if self.policy.by_age else count)
        slots = self._slots(prompt)
        if slots > self.config.max_tokens:
            raise UserError(f"the cache needs {slots} slots, '{self.config.name}' has max_tokens = "
                            f"{self.config.max_tokens}: keep or generate fewer tokens")
        check_build(heads_apart(self.model, slots), self.config, self.settings, prompt)

    def _slots(self, prompt: int) -> int:
        most = max(self.policy.budgets(self.model.layers, prompt, self.budget))
        return max(prompt, min(prompt, most) + self.room if self.policy.steps == "grow" else most + 1)

    def _prepare(self, prompt: int) -> None:
        self.jobs = HeadJobs(self.model, self.config, self.settings, prompt, self._slots(prompt))
        self.cache = KvCache(self.jobs)
        self.sinks = Sinks(self.policy, self.cache, self.model)

    def _check_room(self) -> None:
        if not self.policy.by_age:
            super()._check_room()

    def _attend(self, layer: int, first: int, new: dict[str, np.ndarray]) -> np.ndarray:
        kv_heads, group = self.model.kv_heads, self.model.heads // self.model.kv_heads
        parts = [(layer * kv_heads + h, {"q": new["q"][h * group:(h + 1) * group], "k": new["k"][h:h + 1],
                                         "v": new["v"][h:h + 1]}) for h in range(kv_heads)]
        return np.concatenate(self._first(layer, parts) if self.prompting else self._next(layer, parts))

    def _first(self, layer: int, parts: list[tuple[int, dict[str, np.ndarray]]]) -> list[np.ndarray]:
        """The prompt's jobs of a layer; then its caches are cut."""
        n = parts[0][1]["q"].shape[1]
        outs, importance = [], []
        for at, new in parts:
            written, q = self.cache.append(at, 0, new)
            job = self.jobs.head(at, n, generate=False)
            result = self._compute(at, job, written, new["q"], q, f"prompt, K/V head {at}")
            outs.append(result.out)
            counts = result.token_importance
            if self.policy.queries is not None:
                result, counts = self._observed(at, new["q"], q, result, self.policy.queries)
            importance.append(counts)
            self._tell(at, n, np.arange(n), result, q.shape[0] * n)
        slots = Slots(self.policy, self.policy.budgets(self.model.layers, n, self.budget)[layer])
        kept = slots.fill(np.stack(importance)[None])[0]
        for (at, _), positions in zip(parts, kept, strict=True):
            self._compact(at, positions)
        self.slots.append(slots)
        return outs

    def _observed(self, at: int, real_q: np.ndarray, q: np.ndarray, prompt: PassResult, count: int
                  ) -> tuple[PassResult, np.ndarray]:
        """The prompt's result with the importance that its last `count` queries give, asked again one by one, and with
        what that costs; and what of it counts."""
        n = q.shape[1]
        total, counts = replace(prompt, token_importance=np.zeros(n)), np.zeros(n)
        for last in range(n - min(n, count), n):
            one = slice(last, last + 1)
            row = Rows(self.jobs.query_planes(1)[0], 0, q[:, one], self.settings.q_bits)
            result = self._compute(at, self.jobs.head(at, last + 1, generate=True), (row,), real_q[:, one], q[:, one],
                                   f"prompt, K/V head {at}, query {last}")
            later = (0, n - last - 1)
            counts += np.pad(self.policy.counted(result.token_importance), later)
            total = replace(
                total, token_importance=total.token_importance + np.pad(result.token_importance, later),
                queries=total.queries + result.queries, refetched=total.refetched + result.refetched,
                cycles=None if total.cycles is None else total.cycles + (result.cycles or 0),
                bytes=None if total.bytes is None else {name: moved + (result.bytes or {})[name]
                                                        for name, moved in total.bytes.items()})
        return total, counts

    def _compact(self, at: int, positions: np.ndarray) -> None:
        """Moves the rows of `positions` to the first slots of K/V head `at`."""
        moved: list[Rows] = []
        for name in ("k", "v"):
            for kind in (self.cache.real, self.cache.codes):
                kind[name][at, :, :len(positions)] = kind[name][at][:, positions]
            for part, values, bits in self.jobs.builder.parts(**{name: self.cache.codes[name][at][:, :len(positions)]}):
                moved.append(Rows(self.jobs.planes[at][part], 0, values, bits))
        self.moved[at] = tuple(moved)

    def _next(self, layer: int, parts: list[tuple[int, dict[str, np.ndarray]]]) -> list[np.ndarray]:
        """A step's jobs of a layer."""
        slots = self.slots[layer]
        where = slots.take()[0]
        outs, importance = [], []
        for h, (at, new) in enumerate(parts):
            written, q = self.cache.append(at, int(where[h]), new)
            job = self.jobs.head(at, slots.tokens, generate=True)
            written = self.moved.pop(at, ()) + self.sinks.turned(at, slots.positions[0, h], slots.seen) + written
            result = self._compute(at, job, written, new["q"], q,
                                   f"token {self.steps}, K/V head {at}")
            outs.append(result.out)
            importance.append(result.token_importance)
            self._tell(at, slots.seen, slots.positions[0, h], result, q.shape[0])
        slots.settle(np.stack(importance)[None])
        return outs

    def _tell(self, at: int, tokens: int, positions: np.ndarray, result: PassResult, queries: int) -> None:
        """The trace of a job of `queries` rows over slots that hold `positions`, by position."""
        importance = result.token_importance[:len(positions)].astype(np.float32)
        slim = replace(result, out=_NONE, tokens_alive=_NONE, token_importance=importance)
        self.traces.append(SlotTrace(self.steps, at, tokens, slim, dense_rows_bytes(queries, tokens, self.model.dim),
                                     positions.astype(np.int32)))

