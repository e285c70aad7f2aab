"""Tasks of long context, made by program: something is said somewhere in a long text, and asked for at its end.

In the manner of RULER (arXiv 2404.06654) and of key-value retrieval (arXiv 2307.03172). An answer is right if each of
its tokens is the likeliest one, so what is measured is an exact match under greedy decoding. Every prompt of a task has
the same number of tokens, and every answer is a number of `DIGITS` digits (the model has a token for each).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

DIGITS = 5
#: The shortest prompt with answer that has room for what is said, what is asked and some text between.
LEAST_CONTEXT = 192
#: Of the list in `common`: other numbers, and how often the common one stands there for each time of another.
OTHERS, OFTEN = 20, 10
CITIES = ("Paris", "London", "Cairo", "Lima", "Oslo", "Rome", "Delhi", "Quito", "Tokyo", "Kyiv", "Bern", "Accra")


class Encoder(Protocol):
    """A tokenizer."""

    def encode(self, text: str) -> tuple[int, ...]: ...


def needle(tokens: Encoder, haystack: np.ndarray, length: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Ids [length + DIGITS]: one sentence at `depth` (0 … 1) of prose, asked for at the end."""
    city, number = CITIES[rng.integers(len(CITIES))], _number(rng)
    return _buried(tokens, haystack, length, [(depth, f"\nThe secret number of {city} is {number}.\n")],
                   f"\nThe secret number of {city} is", number, rng)


def key_value(tokens: Encoder, haystack: np.ndarray, length: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """The same of one line among lines of its kind: keys of six letters with a number each."""
    lines: list[tuple[str, str]] = []
    used = 0
    while True:
        key = "".join(chr(97 + n) for n in rng.integers(0, 26, 6))
        cost = len(tokens.encode(f"\nkey {key}: {_number(rng)}"))
        if used + 2 * cost > length:
            break
        used += cost
        lines.append((key, _number(rng)))
    key, number = lines[min(len(lines) - 1, int(depth * len(lines)))]
    body = "".join(f"\nkey {k}: {n}" for k, n in lines)
    return _joined(tokens, haystack, length, body, f"\nkey {key}:", number)


def variables(tokens: Encoder, haystack: np.ndarray, length: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """A number given to one variable and handed on, further down, to a second and a third; the question names the last
    two, so that the answer is in the second line and in the first."""
    names = rng.permutation([chr(65 + n) for n in range(26)])[:3]
    number = _number(rng)
    where = depth + (1 - depth) * np.array([0, 0.3, 0.6])
    said = [f"\nVAR {names[0]} = {number}.\n", f"\nVAR {names[1]} = VAR {names[0]} = {number}.\n",
            f"\nVAR {names[2]} = VAR {names[1]}.\n"]
    return _buried(tokens, haystack, length, list(zip(where.tolist(), said, strict=True)),
                   f"\nVAR {names[2]} = VAR {names[1]} =", number, rng)


def common(tokens: Encoder, haystack: np.ndarray, length: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """A long list of numbers in which one is `OFTEN` times as frequent as each of the others, anywhere: the answer lies
    in the whole list, not in one place. (RULER asks for common words.)"""
    number, others = _number(rng), [_number(rng) for _ in range(OTHERS)]
    title, question = "\nThe list:", "\nThe number that is most common in the list is"
    room = length - len(tokens.encode(title + question))
    count = room // len(tokens.encode(f" {number},"))
    often = count * OFTEN // (OFTEN + OTHERS)
    drawn = [number] * often + [others[i % OTHERS] for i in range(count - often)]
    body = title + "".join(f" {x}," for x in rng.permutation(drawn))
    return _joined(tokens, haystack, length, body, question, number)


#: Name → task.
TASKS: dict[str, Callable[..., np.ndarray]] = {"needle": needle, "key-value": key_value, "variables": variables,
                                               "common": common}


def _number(rng: np.random.Generator) -> str:
    return str(rng.integers(10 ** (DIGITS - 1), 10 ** DIGITS))


def _answer(tokens: Encoder, question: str, number: str) -> tuple[list[int], list[int]]:
    """Ids of question and answer; a number begins with a blank, which is the question's."""
    asked = list(tokens.encode(f"{question} {number}"))
    return asked[:-DIGITS], asked[-DIGITS:]


def _buried(tokens: Encoder, haystack: np.ndarray, length: int, said: list[tuple[float, str]], question: str,
            number: str, rng: np.random.Generator) -> np.ndarray:
    asked, answer = _answer(tokens, question, number)
    pieces = [(depth, list(tokens.encode(text))) for depth, text in said]
    room = length - len(asked) - sum(len(ids) for _, ids in pieces)
    first = int(rng.integers(0, len(haystack) - room))
    prose = haystack[first:first + room].tolist()
    ids: list[int] = []
    at = 0
    for depth, piece in pieces:
        ids += prose[at:int(depth * room)] + piece
        at = int(depth * room)
    return np.array(ids + prose[at:] + asked + answer)


def _joined(tokens: Encoder, haystack: np.ndarray, length: int, body: str, question: str, number: str) -> np.ndarray:
    """Lines behind prose that fills the prompt."""
    asked, answer = _answer(tokens, question, number)
    lines = list(tokens.encode(body))
    return np.array([*haystack[:length - len(lines) - len(asked)].tolist(), *lines, *asked, *answer])
