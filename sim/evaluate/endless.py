"""Text without end in a cache of fixed size: does the loss stay where it is?

A policy by age drops a token for each one that comes, and positions are counted within the cache
(`sim/models/eviction/sinks.py`), so a session goes on for ever in the same memory. Which tokens a step finds does not
depend on attention, and the text is known: so all steps of a layer are computed at once, each with the slots that a
session has then, and then the next layer's.

Whether it gets worse is asked of every block of the text: the loss of its tokens, less that of the dense float model
that begins anew every few hundred tokens (`fresh_losses`). The level of this difference is what cache and bits cost;
its slope over the blocks is the drift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from spatten_hw.errors import UserError
from spatten_hw.sim.golden.batch_operands import Rows
from spatten_hw.sim.models.eviction.jobs import HeadJobs
from spatten_hw.sim.models.eviction.policy import EVICTIONS, Eviction
from spatten_hw.sim.models.gpt.perplexity import cross_entropy
from spatten_hw.sim.models.llama.model import Llama

from .evicting import FloatHead, GoldenHead
from .language import LanguageBench
from .point import Point
from .slot_table import slot_table
from .spread import blocks_of, drift
from .tally import Tally

#: Steps that are computed together, and logits.
TOGETHER = 128


@dataclass
class EndlessBench(LanguageBench):
    """Windows [windows, tokens + 1] of any length, whose prompts fill the cache. `reference` [windows, steps]: −ln p of
    the dense float model."""

    reference: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reference = np.stack([fresh_losses(self.model, ids, self.prompt) for ids in self.windows])

    def room(self, point: Point) -> int:
        return self.prompt + 1

    @staticmethod
    def no_tallies(point: Point) -> dict[str, Tally]:
        """Where costs are added up."""
        return {} if point.bits is None else {"prompt": Tally(), "steps": Tally()}

    def policy(self, point: Point) -> Eviction:
        """That of a point. Refuses one that attention decides, and a cache that the prompt does not fill."""
        policy = EVICTIONS.get(point.evict)
        if policy is None or not policy.by_age:
            raise UserError(f"evict = '{point.evict}': only a policy by age goes on without end; use "
                            f"{', '.join(name for name, of in EVICTIONS.items() if of.by_age)}")
        if point.cache > self.prompt:
            raise UserError(f"cache = {point.cache}: the prompt has {self.prompt} tokens and must fill it")
        return policy

    def measure(self, point: Point) -> dict[str, object]:
        """`DecoderBench.measure`; also `reference`, the perplexity of the dense float model; `blocks`: mean differences
        to it by block, in nats; `block_perplexity`; `drift`: the differences' slope per 1,000 tokens behind the first
        block, with its interval (None: too short)."""
        self.policy(point)
        tallies = self.no_tallies(point)
        losses, right = zip(*(self._window(i, point, tallies) for i in range(len(self.windows))), strict=True)
        result = self.accuracy(np.stack(losses), np.stack(right))
        rise = blocks_of(np.stack(losses) - self.reference)
        result |= {"reference": float(np.exp(self.reference.mean())),
                   "blocks": rise.mean(axis=0).round(4).tolist(),
                   "block_perplexity": np.exp(blocks_of(np.stack(losses)).mean(axis=0)).round(4).tolist(),
                   "drift": drift(rise[:, 1:]) if rise.shape[1] > 2 else None,
                   "held": (point.cache + 1) * (self.last - self.prompt) / sum(range(self.prompt + 1, self.last + 1))}
        return result | self.costs(tallies) if tallies else result

    def _window(self, window: int, point: Point, tallies: dict[str, Tally]) -> tuple[np.ndarray, np.ndarray]:
        """−ln p [steps] of the tokens behind the prompt, and whether each was the likeliest."""
        model, ids = self.model, self.windows[window]
        steps = _Steps(self.part(window), point, tallies)
        x = model.embed(ids[self.prompt:-1], steps.positions)
        for layer in range(model.layers):
            x = model.finish(layer, x, steps.attend(layer, *model.project(layer, x, steps.positions)))
        losses, right = [], []
        for some in pieces(len(x)):
            logits, targets = model.logits(x[some]), ids[self.prompt + 1:][some]
            losses.append(cross_entropy(logits, targets))
            right.append(logits.argmax(axis=-1) == targets)
        return np.concatenate(losses), np.concatenate(right)


class _Steps:
    """Attention of all steps of one window, layer after layer. `positions` [steps]: of their tokens."""

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


def fresh_losses(model: Llama, ids: np.ndarray, prompt: int) -> np.ndarray:
    """−ln p [steps] of the tokens of ids [tokens + 1] behind the one at `prompt`, each predicted densely from the
    `prompt` + 1 … 2 · `prompt` tokens before it."""
    losses: list[np.ndarray] = []
    for first in range(0, len(ids) - 1 - prompt, prompt):
        window = ids[first:first + 2 * prompt + 1]
        losses.append(cross_entropy(model.forward(window[:-1])[prompt:], window[prompt + 1:]))
    return np.concatenate(losses)
