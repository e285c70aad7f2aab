"""Engines that a configuration chooses among: each with its parameters, rules, component, golden model and area law.

A choice is written as its name, followed by the parameters that are not the default ones: `linerate`,
`linerate,digit_bits=3,wide=2`. To add an engine, add a class here and what it names; no other code lists the engines.
Plain Python: the component and the golden model are imported on demand.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from .area_law import Laws, law

if TYPE_CHECKING:
    from .topk.interface import TopKEngine


@dataclass(frozen=True)
class TopKChoice:
    """A top-k engine of local value pruning; the fields of a subclass are its parameters (whole numbers).

    `name`: in configurations. `component`: "module:Class" below `spatten_hw`, a `TopKEngine` that takes the parameters
    by name. `golden`: what it computes, a function like `sim.golden.topk.topk_mask`. `passes`: how often it reads a
    vector that loses values. `title`: on the site. `laws`: area of local value pruning with it (`area_law.py`).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    component: ClassVar[str]
    golden: ClassVar[str] = "spatten_hw.sim.golden.topk:topk_mask"
    passes: ClassVar[int]
    laws: ClassVar[Laws]

    @property
    def parameters(self) -> dict[str, int]:
        return dataclasses.asdict(self)

    @property
    def written(self) -> str:
        """Its text in a configuration: the name alone if every parameter is the default one."""
        changed = [f"{f.name}={self.parameters[f.name]}" for f in dataclasses.fields(self)
                   if self.parameters[f.name] != f.default]
        return ",".join([self.name, *changed])

    def violations(self) -> Iterator[tuple[str, str]]:
        """(rule, remedy) for each rule of the engine that its parameters break."""
        for f in dataclasses.fields(self):
            value, (low, high) = getattr(self, f.name), f.metadata["range"]
            if type(value) is not int or not low <= value <= high:
                yield f"{f.name} = {value!r} must be a whole number in {low} … {high}", f"use {f.default}"

    def make(self, key_bits: int, lanes: int, max_n: int, max_rows: int | None = None) -> TopKEngine:
        """The engine for vectors of up to `max_n` keys in up to `max_rows` rows (as few as they fit in unless given),
        a row of `lanes` keys per cycle."""
        component = _load(f"{__package__}.{self.component}")
        return component(key_bits, lanes, max_n, max_rows, **self.parameters)

    def golden_mask(self) -> Callable[..., Any]:
        """(keys [n, N], k, lengths) → which are kept [n, N]."""
        return _load(self.golden)


def _parameter(default: int, low: int, high: int, doc: str) -> Any:
    return field(default=default, metadata={"range": (low, high), "doc": doc})


@dataclass(frozen=True)
class QuickSelectChoice(TopKChoice):
    """The paper's engine: quick-select with a zero eliminator (Figures 9 to 12)."""

    name: ClassVar[str] = "quickselect"
    title: ClassVar[str] = "quick-select with a zero eliminator, as in the paper"
    component: ClassVar[str] = "topk.quickselect:QuickSelect"
    passes: ClassVar[int] = 2
    laws: ClassVar[Laws] = {"luts": law(2340, topk=453, slices=77, rules=1000, ruled=457),
                            "flip_flops": law(1715, topk=217, slices=130, rules=500, ruled=253),
                            "dsps": law(7, rules=2), "brams": law(7.3, topk=1.28, slices=0.14, rules=4)}

    waiting: int = _parameter(4, 1, 16, "vectors that may wait loaded, and as many thresholds")


@dataclass(frozen=True)
class LineRateChoice(TopKChoice):
    """One row per cycle for any values: the threshold digit by digit, one vector per stage."""

    name: ClassVar[str] = "linerate"
    title: ClassVar[str] = "the threshold digit by digit, a row per cycle for any values"
    component: ClassVar[str] = "topk.linerate:LineRate"
    passes: ClassVar[int] = 1
    laws: ClassVar[Laws] = {"luts": law(3088, topk=743, slices=77, rules=1000, ruled=457),
                            "flip_flops": law(1883, topk=178, slices=130, rules=500, ruled=253),
                            "dsps": law(0, rules=2), "brams": law(12.6, topk=1.13, slices=0.14, rules=4)}

    digit_bits: int = _parameter(4, 1, 6, "most bits of the threshold that a stage decides in one pass")
    digit_stages: int = _parameter(3, 2, 12, "stages, each with a memory of its own")
    wide: int = _parameter(4, 1, 16, "rows that a later stage reads per cycle")


#: Name → class, in the order in which they are offered.
TOPK: dict[str, type[TopKChoice]] = {choice.name: choice for choice in (QuickSelectChoice, LineRateChoice)}


def topk_choice(written: object) -> TopKChoice | None:
    """The choice that a configuration's field names. None: it names an unknown engine or parameter, or a value that is
    not a whole number."""
    if isinstance(written, TopKChoice) or not isinstance(written, str):
        return written if isinstance(written, TopKChoice) else None
    name, *settings = (part.strip() for part in written.split(","))
    kind, pairs = TOPK.get(name), [setting.partition("=") for setting in settings]
    if kind is None or {key.strip() for key, _, _ in pairs} - {f.name for f in dataclasses.fields(kind)}:
        return None
    try:
        return kind(**{key.strip(): int(value) for key, _, value in pairs})
    except ValueError:
        return None


def topk_engine(written: str, *sizes: int) -> TopKEngine:
    """The engine that `written` chooses, see `TopKChoice.make`. ValueError if it chooses none."""
    choice = topk_choice(written)
    if choice is None:
        raise ValueError(f"unknown top-k engine {written!r}: choose from {', '.join(sorted(TOPK))}")
    return choice.make(*sizes)


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
