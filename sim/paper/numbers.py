"""What the paper reports, by key ("reduction.dram"); the data are `numbers.toml`."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources


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
    read = tomllib.loads(resources.files(__package__).joinpath("numbers.toml").read_text("utf-8"))
    return {f"{group}.{name}": Number(f"{group}.{name}", **entry)
            for group, entries in read.items() for name, entry in entries.items()}


def paper(key: str) -> float:
    """The value of a number."""
    return numbers()[key].value
