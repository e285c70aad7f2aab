"""From logits to the next token: the likeliest, or drawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spatten_hw.errors import UserError

from .session import Session


class Sampler:
    """Temperature 0: the likeliest token, ties to the lowest id. Above: drawn from softmax(logits / temperature) of
    the `top_k` likeliest (None: of all), by a generator of its own."""

    def __init__(self, temperature: float = 0.0, top_k: int | None = None, seed: int = 0):
        if not (np.isfinite(temperature) and temperature >= 0):
            raise UserError(f"temperature = {temperature}: must be a number from 0; 0 takes the likeliest token")
        if top_k is not None and top_k < 1:
            raise UserError(f"top_k = {top_k}: must be at least 1")
        if seed < 0:
            raise UserError(f"seed = {seed}: must be a whole number from 0")
        self.temperature, self.top_k = temperature, top_k
        self.rng = np.random.default_rng(seed)

    def __call__(self, logits: np.ndarray) -> int:
        x = np.asarray(logits, dtype=np.float64)
        if not self.temperature:
            return int(np.argmax(x))
        order = np.argsort(-x, kind="stable")[:self.top_k]
        scaled = (x[order] - x[order[0]]) / self.temperature
        return int(self.rng.choice(order, p=np.exp(scaled) / np.exp(scaled).sum()))


def generate(session: Session, prompt: tuple[int, ...], count: int, sampler: Sampler) -> Iterator[int]:
    """`count` tokens after `prompt`, which begins the sequence or goes on with it, each as soon as it is known. What
    cannot be done is refused before the first."""
    session.check(session.tokens + len(prompt), count)
    logits = session.more(prompt) if session.tokens else session.prompt(prompt)
    for i in range(count):
        token = sampler(logits)
        yield token
        if i < count - 1:
            logits = session.step(token)
