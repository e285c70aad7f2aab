"""What a cell of a Liberty file computes, as Python and as Verilog.

Functions may be written with ! ' * & + | ^, juxtaposition and parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_FUNCTION = re.compile(r"\w+|\S")


def compiled(function: str, pins: Iterable[str]) -> Callable[..., Any]:
    """`function` as Python, of arrays of bits named by `pins`, in that order: bit by bit. ValueError if it is none."""
    known = list(pins)
    return eval(f"lambda {', '.join(known)}: {expression(function, known)}")  # made of pins and operators only


def expression(function: str, pins: Iterable[str]) -> str:
    """`function` as an expression that means the same in Python and in Verilog. ValueError if it is none."""
    known = list(pins)
    tokens = [*_FUNCTION.findall(function), ""]
    at = 0

    def level(operators: Sequence[str], python: str, below: Callable[[], str]) -> str:
        nonlocal at
        terms = [below()]
        # Two operands side by side are an AND.
        while tokens[at] in operators or (python == "&" and tokens[at] not in ("", *")+|^*&")):
            at += tokens[at] in operators
            terms.append(below())
        return terms[0] if len(terms) == 1 else f"({f' {python} '.join(terms)})"

    def operand() -> str:
        nonlocal at
        token = tokens[at]
        at += 1
        if token == "!":
            return f"~{operand()}"
        if token == "(":
            found = either()
            if tokens[at] != ")":
                raise ValueError(f"function '{function}': a ) is missing")
            at += 1
        elif token in known:
            found = token
        else:
            raise ValueError(f"function '{function}': '{token}' is no pin")
        while tokens[at] == "'":
            at += 1
            found = f"(~{found})"
        return found

    def exclusive() -> str:
        return level(("^",), "^", operand)

    def both() -> str:
        return level(("*", "&"), "&", exclusive)

    def either() -> str:
        return level(("+", "|"), "|", both)

    text = either()
    if tokens[at]:
        raise ValueError(f"function '{function}': '{tokens[at]}' is not expected")
    return text
