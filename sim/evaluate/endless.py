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

from dataclasses import dataclass, field

import numpy as np

from spatten_hw.sim.models.eviction.policy import EVICTIONS
from spatten_hw.sim.models.gpt.perplexity import cross_entropy
from spatten_hw.sim.models.llama.model import Llama

from .endless_steps import Steps, pieces
from .language import LanguageBench
from .point import UNROTATED, Point, PointError
from .spread import blocks_of, drift
from .tally import Tally


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

    def measure(self, point: Point) -> dict[str, object]:
        """`DecoderBench.measure`; also `reference`, the perplexity of the dense float model; `blocks`: mean differences
        to it by block, in nats; `block_perplexity`; `drift`: the differences' slope per 1,000 tokens behind the first
        block, with its interval (None: too short). Raises `PointError` for a point that `check_endless` refuses."""
        check_endless(point, self.prompt)
        tallies: dict[str, Tally] = {} if point.bits is None else {"prompt": Tally(), "steps": Tally()}
        losses, right = zip(*(self.window(i, point, tallies) for i in range(len(self.windows))), strict=True)
        result = self.accuracy(np.stack(losses), np.stack(right))
        rise = blocks_of(np.stack(losses) - self.reference)
        result |= {"reference": float(np.exp(self.reference.mean())),
                   "blocks": rise.mean(axis=0).round(4).tolist(),
                   "block_perplexity": np.exp(blocks_of(np.stack(losses)).mean(axis=0)).round(4).tolist(),
                   "drift": drift(rise[:, 1:]) if rise.shape[1] > 2 else None,
                   "held": (point.cache + 1) * (self.last - self.prompt) / sum(range(self.prompt + 1, self.last + 1))}
        return result | self.costs(tallies) if tallies else result

    def window(self, window: int, point: Point, tallies: dict[str, Tally]) -> tuple[np.ndarray, np.ndarray]:
        """−ln p [steps] of the tokens behind a window's prompt, and whether each was the likeliest. Costs go to
        `tallies`."""
        model, ids = self.model, self.windows[window]
        steps = Steps(self.part(window), point, tallies)
        x = model.embed(ids[self.prompt:-1], steps.positions)
        for layer in range(model.layers):
            x = model.finish(layer, x, steps.attend(layer, *model.project(layer, x, steps.positions)))
        losses, right = [], []
        for some in pieces(len(x)):
            logits, targets = model.logits(x[some]), ids[self.prompt + 1:][some]
            losses.append(cross_entropy(logits, targets))
            right.append(logits.argmax(axis=-1) == targets)
        return np.concatenate(losses), np.concatenate(right)


def check_endless(point: Point, prompt: int) -> None:
    """Refuses a point that a text without end behind `prompt` tokens cannot have."""
    policy = EVICTIONS.get(point.evict)
    if policy is None or not policy.by_age:
        raise PointError(f"evict = '{point.evict}': only a policy by age goes on without end; use "
                         f"{', '.join(name for name, of in EVICTIONS.items() if of.by_age)}")
    if point.cache > prompt:
        raise PointError(f"cache = {point.cache}: the prompt has {prompt} tokens and must fill it")
    if point.k_scale == UNROTATED or point.prompt_here:
        raise PointError("k_scale = 'unrotated' and prompt_here are not for a text without end; leave them out")


def fresh_losses(model: Llama, ids: np.ndarray, prompt: int) -> np.ndarray:
    """−ln p [steps] of the tokens of ids [tokens + 1] behind the one at `prompt`, each predicted densely from the
    `prompt` + 1 … 2 · `prompt` tokens before it."""
    losses: list[np.ndarray] = []
    for first in range(0, len(ids) - 1 - prompt, prompt):
        window = ids[first:first + 2 * prompt + 1]
        losses.append(cross_entropy(model.forward(window[:-1])[prompt:], window[prompt + 1:]))
    return np.concatenate(losses)
