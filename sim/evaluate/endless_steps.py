"""Attention of all steps of a text at once, layer after layer: each finds the slots that a session has then.

Some 20 ms a step in float and 40 to 60 in integers, of which a session one step after the other takes ten times as much
(SmolLM2, a cache of 512).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spatten_hw.sim.golden.batch_operands import Rows
from spatten_hw.sim.models.eviction.jobs import HeadJobs
from spatten_hw.sim.models.eviction.policy import EVICTIONS

from .evicting import FloatHead, GoldenHead
from .language import LanguageBench
from .point import Point
from .slot_table import slot_table
from .tally import Tally

#: Steps that are computed together, and logits.
TOGETHER = 128


class Steps:
    """Attention of all steps of one window under a point whose policy goes by age, layer after layer. `positions`
    [steps]: of their tokens. Costs are added to `tallies`, by name; none where the point has no bits."""

    def __init__(self, bench: LanguageBench, point: Point, tallies: dict[str, Tally]):
        self.bench, self.point, self.tallies = bench, point, tallies
        policy = EVICTIONS[point.evict]
        self.first = policy.first
        self.positions = np.arange(bench.prompt, bench.last)
        self.table = slot_table(policy, point.cache, bench.prompt, len(self.positions))
        self.factors = bench.factors(point)
        self.jobs = HeadJobs(bench.quantised(point), bench.config, point.decoder_settings, bench.prompt,
                             bench.room(point))

    def attend(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Outputs [steps, heads, dim] of the rows q [steps, heads, dim], k, v [steps, kv_heads, dim] of a layer."""
        prompt = self.bench.prefilled
        k, v = (np.concatenate([old[0, layer], new]) for old, new in ((prompt.k, k), (prompt.v, v)))
        outs = []
        group = q.shape[1] // k.shape[1]
        for head in range(k.shape[1]):
            at, of_k, of_v = layer * k.shape[1] + head, self.factors.k[0, layer, head], self.factors.v[0, layer, head]
            rows = q[:, head * group:(head + 1) * group] * of_k
            cache = self._engine(1).empty(1, len(k))
            self._engine(1).put(cache, slice(0, len(k)), at, *((x / of)[None, :, None] for x, of in
                                                               ((k[:, head], of_k), (v[:, head], of_v))))
            first = k[:self.first, head], v[:self.first, head] / of_v
            outs.append(np.concatenate([self._some(at, some, rows[some], cache, *first) for some in pieces(len(rows))])
                        * of_v)
        return np.concatenate(outs, axis=1)

    def _engine(self, count: int) -> FloatHead | GoldenHead:
        """For `count` steps."""
        return FloatHead(self.jobs, count) if self.point.bits is None else GoldenHead(self.jobs, count)

    def _some(self, at: int, some: slice, q: np.ndarray, cache: tuple[Rows, Rows], k: np.ndarray, v: np.ndarray
              ) -> np.ndarray:
        """Outputs of some steps, each a sequence to the engine, whose slots have rows of `cache`; k, v: the first
        tokens' rows, k as the model has them."""
        slots = self.table[some]
        count, tokens = slots.shape
        engine = self._engine(count)
        mine: tuple[Rows, Rows] = (taken(cache[0], slots), taken(cache[1], slots))
        # The first tokens are just before the window: other keys at each step.
        ahead = self.positions[some] + 1 - tokens
        many = (count, self.first, 1, k.shape[-1])
        turned = self.bench.model.rotated(np.broadcast_to(k[:, None], many), np.broadcast_to(ahead[:, None], many[:2]))
        layer, head = divmod(at, self.bench.model.kv_heads)
        engine.put(mine, slice(0, self.first), at, turned / self.factors.k[0, layer, head],
                   np.broadcast_to(v[:, None], many))
        out, _ = engine.run(self.jobs.head(at, tokens, generate=True), at, q[:, None], mine, "steps")
        for name, tally in engine.tallies.items():
            self.tallies[name] = self.tallies[name] + tally
        return out[:, 0]


def taken(rows: Rows, slots: np.ndarray) -> Rows:
    """Copies [count, 1, n, dim] of the rows [1, 1, tokens, dim] in `slots` [count, n]."""
    full = rows.full[0, 0][slots][:, None]
    return Rows(full, full if rows.rough is rows.full else rows.rough[0, 0][slots][:, None])


def pieces(count: int) -> Iterator[slice]:
    """0 … count in slices of `TOGETHER`."""
    return (slice(first, min(first + TOGETHER, count)) for first in range(0, count, TOGETHER))
