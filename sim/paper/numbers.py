"""What the paper reports, by key ("reduction.dram"), and why ours differs: `numbers.toml` and `reasons.toml`."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Number:
    """A figure of the paper: what it is, and the section or figure where it stands."""

    key: str
    value: float
    unit: str
    what: str
    where: str


@functools.cache
def numbers() -> dict[str, Number]:
    """All of them, in the order of the file."""
    return {f"{group}.{name}": Number(f"{group}.{name}", **entry)
            for group, entries in _read("numbers.toml").items() for name, entry in entries.items()}


def paper(key: str) -> float:
    """The value of a number."""
    return numbers()[key].value


def reason(key: str, **facts: object) -> str:
    """The text of `key` with `facts` put in; that of its group ("speedup.all") where it has none of its own."""
    group, name = key.split(".")
    texts = _read("reasons.toml")[group]
    return str(texts.get(name, texts.get("all"))).format(**facts)


@functools.cache
def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text("utf-8"))
