"""The fields of a sweep's file, section by section, with the type of each and what it says."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spatten_hw.config import PLANE_WIDTHS, SpAttenConfig
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.cases import standard_cases
from spatten_hw.sim.bench.memory import MEMORIES

from .values import Check

#: What stands for no margin, no mass.
NONE = "none"
#: Most bytes of a file's name on any usual file system.
MOST_NAME = 200


@dataclass(frozen=True)
class Field:
    """A field: what it says, and the check of its type."""

    doc: str
    check: Check


def whole(low: int) -> Check:
    """Whole numbers from `low` on."""
    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"must be a whole number, at least {low}")
        return value
    return check


def any_whole(value: object) -> object:
    """Whole numbers; the configuration says which are legal."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def number(low: float, high: float, above: bool = False, none: bool = False) -> Check:
    """Numbers in low … high (`above`: above low); `none`: or "none"."""
    def check(value: object) -> object:
        if none and value == NONE:
            return None
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not good or not low <= value <= high or (above and value == low):  # type: ignore[operator]
            raise ValueError(f"must be a number {f'above {low:g}, at most' if above else f'{low:g} …'} {high:g}"
                             + f', or "{NONE}"' * none)
        return float(value)  # type: ignore[arg-type]
    return check


def flag(value: object) -> object:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def text(value: object) -> object:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    return value


def file_name(value: object) -> object:
    """A text that names a folder."""
    name = str(text(value))
    if "/" in name or name in (".", "..") or not name.isprintable() or len(name.encode()) > MOST_NAME:
        raise ValueError(f'must name a folder of results: printable, at most {MOST_NAME} bytes; leave "/" out')
    return value


def one_of(known: Callable[[], Sequence[object]]) -> Check:
    """One of some names or numbers."""
    def check(value: object) -> object:
        if isinstance(value, bool) or value not in known():
            near = difflib.get_close_matches(str(value), [str(k) for k in known()], 1)
            raise ValueError(f"must be one of {', '.join(map(str, known()))}"
                             + (f" (did you mean '{near[0]}'?)" if near else ""))
        return value
    return check


def planes(value: object) -> object:
    """A width, or MSBs and LSBs as "6+4": (MSBs, LSBs)."""
    parts = value.split("+") if isinstance(value, str) else [value]
    try:
        widths = [int(p) if isinstance(p, str) else p for p in parts]
    except ValueError:
        widths = []
    if len(widths) not in (1, 2) or any(isinstance(w, bool) or w not in PLANE_WIDTHS for w in widths) or (
            widths[1:] and widths[1] != 4):
        raise ValueError(f"must be one of {', '.join(map(str, PLANE_WIDTHS))}, or MSBs and 4 LSBs like \"6+4\"")
    return widths[0], widths[1] if widths[1:] else 0


def case_names() -> list[str]:
    """The standard cases of all presets."""
    return list(dict.fromkeys(case.name for c in PRESETS.values() for case in standard_cases(c)))


def _config() -> dict[str, Field]:
    found = {"preset": Field("what the other fields are changes of", one_of(lambda: list(PRESETS)))}
    for f in dataclasses.fields(SpAttenConfig):
        if f.name != "name":
            found[f.name] = Field(f.metadata["doc"], text if f.name == "topk" else any_whole)
    return found


#: Section → its fields.
SECTIONS: dict[str, dict[str, Field]] = {
    "config": _config(),
    "workload": {
        "case": Field("a standard case of bench attention", one_of(case_names)),
        "requests": Field("a CSV of requests, as the SpAtten authors publish them", text),
        "limit": Field("only the first requests", whole(1)),
        "order": Field("requests in the file's order, or alike ones gathered", one_of(lambda: ["file", "gathered"])),
        "tokens": Field("of a layer of your own", whole(1)),
        "dim": Field("its head dimension", whole(1)),
        "heads": Field("its query heads; of requests: most of a job", whole(1)),
        "group": Field("query heads to a K/V head", whole(1)),
        "generate": Field("true: one new query, false: a prompt", flag),
        "causal": Field("of a prompt", flag),
    },
    "policy": {
        "bits": Field("of K and V", planes), "k_bits": Field("of K", planes), "v_bits": Field("of V", planes),
        "q_bits": Field("of Q", one_of(lambda: PLANE_WIDTHS)),
        "alive": Field("share of the tokens that survive", number(0, 1, above=True)),
        "keep": Field("share of their values that is kept", number(0, 1, above=True)),
        "flat": Field("share of the queries that take LSBs", number(0, 1)),
        "lsb_margin": Field("LSBs by key: margin in nats", number(0, 22, none=True)),
        "keep_mass": Field("values by mass: share of all probability", number(0, 1, above=True, none=True)),
        "give_back": Field("what was dropped is given back", flag),
    },
    "memory": {
        "name": Field("behind every channel", one_of(lambda: list(MEMORIES))),
        "clock": Field("period of the accelerator's clock in ns", number(0.01, 1000)),
        "latency": Field("cycles to a read's first data on perfect memory", whole(1)),
    },
}
