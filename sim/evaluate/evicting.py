"""Attention on caches from which tokens are dropped for good, many sequences in lockstep: a job per K/V head, whose
importance the policy chooses by (`sim/models/eviction`)."""

from __future__ import annotations

import numpy as np

from spatten_hw.host.job import LayerJob
from spatten_hw.sim.golden.batch import BatchAccelerator
from spatten_hw.sim.golden.batch_float import BatchFloat
from spatten_hw.sim.golden.batch_operands import Rows
from spatten_hw.sim.models.decoder.model import DecoderModel
from spatten_hw.sim.models.eviction.jobs import HeadJobs
from spatten_hw.sim.models.eviction.policy import Eviction
from spatten_hw.sim.models.eviction.slots import Slots

from .attention import by_head, codes, empty_rows
from .tally import Tally

#: Places of new rows: tokens, or a slot for each sequence [sequences].
Where = slice | np.ndarray
#: A K/V head, layer · kv_heads + head, and its rows q, k, v [sequences, rows, heads, D].
Part = tuple[int, np.ndarray, np.ndarray, np.ndarray]


class GoldenHead:
    """The accelerator's integers for one K/V head after the other; costs go to two tallies."""

    def __init__(self, jobs: HeadJobs, sequences: int):
        self.jobs, self.accelerator = jobs, BatchAccelerator(jobs.config, sequences)
        self.tallies = {"prompt": Tally(), "steps": Tally()}

    def empty(self, sequences: int, tokens: int) -> tuple[Rows, Rows]:
        """Room for K and V of a head."""
        return empty_rows(self.jobs, sequences, tokens)

    def put(self, cache: tuple[Rows, Rows], where: Where, layer: int, k: np.ndarray, v: np.ndarray) -> None:
        """Writes real rows [sequences, n, 1, D] to their places."""
        s = self.jobs.settings
        new = codes(self.jobs, layer, k=k, v=v)
        for rows, x, lsb, midpoint in zip(cache, new, (s.k_bits[1], s.v_bits[1]), (False, True), strict=True):
            rows.put(where, x, lsb, midpoint)

    def run(self, job: LayerJob, layer: int, q: np.ndarray, cache: tuple[Rows, Rows], part: str
            ) -> tuple[np.ndarray, np.ndarray]:
        """Outputs [sequences, rows, group, D] and the importance [sequences, tokens] that the queries gave; `part`: the
        tally that pays."""
        new_q, = codes(self.jobs, layer, q=q)
        keys, values = (rows.first(job.tokens) for rows in cache)
        result = self.accelerator.run(job, new_q, keys, values, descriptor=self.jobs.descriptor)
        self.tallies[part].add(result)
        return by_head(result.out) * self.jobs.out_unit, result.token_scores


class FloatHead:
    """The same in float64, no costs."""

    def __init__(self, jobs: HeadJobs, sequences: int):
        self.jobs, self.engine = jobs, BatchFloat(jobs.config, sequences)
        self.tallies: dict[str, Tally] = {}

    def empty(self, sequences: int, tokens: int) -> tuple[Rows, Rows]:
        x = [np.zeros((sequences, 1, tokens, self.jobs.model.dim)) for _ in range(2)]
        return Rows(x[0], x[0]), Rows(x[1], x[1])

    def put(self, cache: tuple[Rows, Rows], where: Where, layer: int, k: np.ndarray, v: np.ndarray) -> None:
        for rows, x in zip(cache, (k, v), strict=True):
            rows.put(where, by_head(x), 0, False)

    def run(self, job: LayerJob, layer: int, q: np.ndarray, cache: tuple[Rows, Rows], part: str
            ) -> tuple[np.ndarray, np.ndarray]:
        keys, values = (rows.full[:, :, :job.tokens] for rows in cache)
        out = self.engine.run(job, by_head(q).astype(np.float64), keys, values)
        return by_head(out), self.engine.cascade.token_scores[:, :job.tokens].copy()


class EvictingAttention:
    """`Attention` under an eviction policy: after the prompt `cache` tokens of each K/V head stay (in the mean over the
    layers), and in steps what the policy says. `room`: most steps. `held`: slots in use, added up over steps and
    layers."""

    def __init__(self, head: GoldenHead | FloatHead, model: DecoderModel, policy: Eviction, cache: int, room: int):
        self.head, self.policy, self.cache, self.room = head, policy, cache, room
        self.kv_heads, self.layers = model.kv_heads, model.layers
        self.caches: dict[int, tuple[Rows, Rows]] = {}
        self.slots: list[Slots] = []
        self.held = 0

    @property
    def tallies(self) -> dict[str, Tally]:
        return self.head.tallies

    def run(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        parts = self._parts(layer, q, k, v)
        outs = self._prompt(layer, parts) if len(self.slots) <= layer else self._step(layer, parts)
        return np.concatenate(outs, axis=2)

    def _parts(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> list[Part]:
        group = q.shape[2] // self.kv_heads
        return [(layer * self.kv_heads + h, q[:, :, h * group:(h + 1) * group], k[:, :, h:h + 1], v[:, :, h:h + 1])
                for h in range(self.kv_heads)]

    def _prompt(self, layer: int, parts: list[Part]) -> list[np.ndarray]:
        """A prompt computed here: its outputs; then its caches are cut."""
        sequences, n = parts[0][1].shape[:2]
        outs, importance, whole = [], [], []
        for at, q, k, v in parts:
            whole.append(self.head.empty(sequences, n))
            self.head.put(whole[-1], slice(0, n), at, k, v)
            out, given = self.head.run(self.head.jobs.head(at, n, generate=False), at, q, whole[-1], "prompt")
            outs.append(out)
            importance.append(given)
        self._cut(layer, parts, whole, np.stack(importance, axis=1))
        return outs

    def fill(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray, importance: np.ndarray) -> None:
        parts, whole = self._parts(layer, q, k, v), []
        for at, _, of_k, of_v in parts:
            whole.append(self.head.empty(len(k), k.shape[1]))
            self.head.put(whole[-1], slice(0, k.shape[1]), at, of_k, of_v)
        self._cut(layer, parts, whole, importance)

    def _cut(self, layer: int, parts: list[Part], whole: list[tuple[Rows, Rows]], importance: np.ndarray) -> None:
        """Moves the rows that stay of `whole` caches to smaller ones. `importance` [sequences, heads, n]: of all
        queries; others are asked again where the policy wants them."""
        sequences, _, n = importance.shape
        if self.policy.queries is not None:
            importance = np.stack([self._observed(at, q, cache, n) for (at, q, _, _), cache
                                   in zip(parts, whole, strict=True)], axis=1)
        slots = Slots(self.policy, self.policy.budgets(self.layers, n, self.cache)[layer])
        kept = slots.fill(importance)
        most = slots.tokens + self.room
        size = most if self.policy.steps == "grow" else min(most, slots.budget + 1)
        for h, (at, *_) in enumerate(parts):
            self.caches[at] = self.head.empty(sequences, size)
            for old, new in zip(whole[h], self.caches[at], strict=True):
                new.copy(old, kept[:, h])
        self.slots.append(slots)

    def _observed(self, at: int, q: np.ndarray, cache: tuple[Rows, Rows], n: int) -> np.ndarray:
        """Importance [sequences, n] from the policy's last queries of a prompt of n, asked again one by one; `q`: rows
        of the last queries, at least so many."""
        total = np.zeros((len(q), n))
        for last in range(n - min(n, self.policy.queries or 0), n):
            job, row = self.head.jobs.head(at, last + 1, generate=True), q.shape[1] - n + last
            _, given = self.head.run(job, at, q[:, row:row + 1], cache, "prompt")
            total[:, :last + 1] += self.policy.counted(given)
        return total

    def _step(self, layer: int, parts: list[Part]) -> list[np.ndarray]:
        slots = self.slots[layer]
        where = slots.take()
        outs, importance = [], []
        for h, (at, q, k, v) in enumerate(parts):
            self.head.put(self.caches[at], where[:, h], at, k, v)
            job = self.head.jobs.head(at, slots.tokens, generate=True)
            out, given = self.head.run(job, at, q, self.caches[at], "steps")
            outs.append(out)
            importance.append(given)
        slots.settle(np.stack(importance, axis=1))
        self.held += slots.tokens
        return outs
