"""A decoder under a point: perplexity on held-out text by teacher forcing, many windows in lockstep.

Jobs are those of a session (`sim/models/decoder`). The first part of every window is the prompt; then the text's own
tokens are fed one by one, and the logits of each step predict the next: one causal job per layer, then one generation
job per layer and token. Importance accumulates; every step restarts from all tokens.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.builder import dense_rows_bytes
from spatten_hw.sim.models.decoder.jobs import DecoderJobs
from spatten_hw.sim.models.decoder.model import DecoderModel
from spatten_hw.sim.models.gpt.perplexity import cross_entropy

from .attention import Attention, Engine, FloatAttention, GoldenAttention, Spy
from .point import Point
from .tally import Tally


def windows_of(ids: np.ndarray, length: int, count: int) -> np.ndarray:
    """`count` windows [count, length] of token ids, evenly spread, none overlapping. Raises `UserError`."""
    possible = len(ids) // length
    if count > possible:
        raise UserError(f"--windows {count}: the text has {len(ids)} tokens, enough for {possible} windows of "
                        f"{length}; ask for fewer or give a longer text")
    gap = (len(ids) - length) / max(1, count - 1) if count > 1 else 0
    starts = [int(i * gap) for i in range(count)]
    return np.stack([ids[s:s + length] for s in starts])


@dataclass
class DecoderBench:
    """Windows of text [windows, tokens + 1] for the GPT; the first half of each is its prompt, unless `prompt` says how
    long it is."""

    model: DecoderModel
    config: SpAttenConfig
    windows: np.ndarray
    prompt: int = 0
    #: Windows in lockstep: more are measured one batch after the other, so that memory does not grow with their number.
    together: ClassVar[int] = 40

    def __post_init__(self) -> None:
        self.prompt = self.prompt or self.model.context // 2
        self.jobs(Point("decoder", None))  # refuses a build that is too small

    @property
    def last(self) -> int:
        """Tokens of a window that are fed."""
        return self.windows.shape[1] - 1

    def part(self, first: int, count: int = 1) -> DecoderBench:
        """The bench of some windows."""
        some = copy.copy(self)
        some.windows = self.windows[first:first + count]
        return some

    def jobs(self, point: Point) -> DecoderJobs:
        """The jobs of a session under a point."""
        return DecoderJobs(self.model, self.config, point.decoder_settings, self.prompt)

    def attention(self, point: Point, spy: Spy | None = None) -> Engine:
        """What computes attention under a point."""
        jobs, sequences = self.jobs(point), len(self.windows)
        if point.bits is None:
            return FloatAttention(jobs, sequences)
        # What LSBs would have changed is only seen where none are fetched.
        watch = bool(point.bits[1]) and point.threshold == 0 and not point.prunes
        return GoldenAttention(jobs, sequences, spy, watch)

    def logits(self, attention: Attention, ids: np.ndarray, first: int) -> np.ndarray:
        """Logits [windows, vocabulary] after the ids [windows, n], the first of which has the position `first`."""
        model, positions = self.model, first + np.arange(ids.shape[1])
        x = model.embed(ids, positions)
        for layer in range(model.layers):
            x = model.finish(layer, x, attention.run(layer, *model.project(layer, x, positions)))
        return model.logits(x[:, -1])

    def begin(self, point: Point, attention: Attention) -> None:
        """Gives the prompts to `attention`."""
        self.logits(attention, self.windows[:, :self.prompt], 0)

    def losses(self, point: Point, attention: Attention, steps: int | None = None) -> np.ndarray:
        """−ln p of the text's next token [windows, steps], for the first `steps` predictions after the prompt."""
        return self.predictions(point, attention, steps)[0]

    def predictions(self, point: Point, attention: Attention, steps: int | None = None
                    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, and whether it was the likeliest one, bool."""
        last = self.last if steps is None else self.prompt + steps
        self.begin(point, attention)
        losses, right = [], []
        for at in range(self.prompt, last):
            logits = self.logits(attention, self.windows[:, at:at + 1], at)
            losses.append(cross_entropy(logits, self.windows[:, at + 1]))
            right.append(logits.argmax(axis=-1) == self.windows[:, at + 1])
        return np.stack(losses, axis=1), np.stack(right, axis=1)

    def accuracy(self, losses: np.ndarray, right: np.ndarray) -> dict[str, object]:
        """Of −ln p [windows, steps]: perplexity, and the means by window, for the spread of differences."""
        return {"predictions": losses.size, "cross_entropy": float(losses.mean()),
                "perplexity": float(np.exp(losses.mean())),
                "by_window": [round(float(x), 6) for x in losses.mean(axis=1)]}

    def scaled(self, point: Point, attention: Attention) -> Attention:
        """`attention` for the model's rows, where they are scaled before."""
        return attention

    def measure(self, point: Point) -> dict[str, object]:
        """Accuracy and costs of a point, as they go to JSON: perplexity per token, −ln p by window; `held`: part of all
        tokens that a step finds in the cache, in the mean."""
        parts = [self.part(first, self.together)._measured(point)
                 for first in range(0, len(self.windows), self.together)]
        losses, right, held, tallies = zip(*parts, strict=True)
        result = self.accuracy(np.concatenate(losses), np.concatenate(right))
        steps = len(parts) * self.model.layers * sum(range(self.prompt + 1, self.last + 1))
        result["held"] = sum(held) / steps
        if not tallies[0]:
            return result
        return result | self.costs({name: sum((of[name] for of in tallies), Tally()) for name in tallies[0]})

    def _measured(self, point: Point) -> tuple[np.ndarray, np.ndarray, int, dict[str, Tally]]:
        """`predictions` of all windows in lockstep, tokens held and costs."""
        attention = self.attention(point)
        predictions = self.predictions(point, self.scaled(point, attention))
        return *predictions, attention.held, attention.tallies

    def dense(self) -> tuple[list[int], list[int]]:
        """Bytes and multiply-accumulates of dense attention over all windows, of the prompts and of all tokens."""
        ends, windows = (self.prompt, self.last), len(self.windows)
        return ([windows * dense_bytes(self.model, self.prompt, n) for n in ends],
                [windows * dense_macs(self.model, n) for n in ends])

    def costs(self, tallies: dict[str, Tally]) -> dict[str, object]:
        """Of prompt, steps and both, beside dense attention."""
        dense, macs = self.dense()
        return {"prompt": tallies["prompt"].record(dense[0], macs[0]),
                "steps": tallies["steps"].record(dense[1] - dense[0], macs[1] - macs[0]),
                **(tallies["prompt"] + tallies["steps"]).record(dense[1], macs[1])}


def dense_bytes(model: DecoderModel, prompt: int, last: int) -> int:
    """Bytes of one sequence, dense in 12 bits with 16-bit outputs, every row once: a prompt, then steps with prompt + 1
    … `last` tokens in context."""
    keys = prompt + sum(range(prompt + 1, last + 1))
    return model.layers * dense_rows_bytes(model.heads * last, model.kv_heads * keys, model.dim)


def dense_macs(model: DecoderModel, last: int) -> int:
    """Multiply-accumulates of Q×K and Prob×V: each of `last` queries with every token up to its own."""
    return 2 * model.layers * model.heads * model.dim * (last * (last + 1) // 2)
