"""What the benches of single blocks have in common: vectors as rows, figures against what a block states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.block import Transfers

from .table import table


@dataclass(frozen=True)
class Rows:
    """Vectors cut into rows of up to `lanes` elements: `values` [rows, lanes] (dead lanes hold `fill`), `count` live
    lanes, `last` of the vector, `vector` and `row` (number within the vector) of each."""

    values: np.ndarray
    count: np.ndarray
    last: np.ndarray
    vector: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.count)


def rows_of(vectors: Sequence[np.ndarray], lanes: int, fill: int = 0) -> Rows:
    """The rows of `vectors`, integers [n] each, n ≥ 1."""
    sizes = np.array([len(v) for v in vectors])
    rows = -(-sizes // lanes)
    vector = np.repeat(np.arange(len(vectors)), rows)
    row = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
    last = row == rows[vector] - 1
    values = np.full((len(vector), lanes), fill, dtype=np.int64)
    live = np.arange(lanes) < (sizes[vector] - row * lanes)[:, None]
    values[live] = np.concatenate(vectors)
    return Rows(values, live.sum(axis=1), last.astype(np.int64), vector, row)


@dataclass
class Figure:
    """A case of one block, measured without stalls from outside.

    `items`: vectors (or rows); `cycles`: from the first to the last transfer on the stream that the rate speaks of,
    both included; `stated`: what the block's rate promises for the same; `bubbles`: cycles of these without a
    transfer on that stream. `latency`, `stated_latency`: as the block states it, None if it does not. `note`: what
    else is worth knowing. `mismatches`: where results and golden model differ.
    """

    unit: str
    case: str
    items: int
    cycles: int
    stated: int
    bubbles: int
    latency: int | None = None
    stated_latency: int | None = None
    note: str = ""
    mismatches: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return self.cycles / self.stated

    @property
    def as_json(self) -> dict[str, Any]:
        return {"unit": self.unit, "case": self.case, "items": self.items, "cycles": self.cycles,
                "stated_cycles": self.stated, "ratio": self.ratio, "bubbles": self.bubbles, "latency": self.latency,
                "stated_latency": self.stated_latency, "note": self.note, "bit_exact": not self.mismatches,
                "mismatches": self.mismatches}


def render(figures: Sequence[Figure]) -> str:
    """The figures for a terminal."""
    cells = [["unit", "case", "items", "cycles", "stated", "ratio", "bubbles", "latency", "stated", "note"]]
    for f in figures:
        latency = ["-" if value is None else str(value) for value in (f.latency, f.stated_latency)]
        cells.append([f.unit, f.case, str(f.items), str(f.cycles), str(f.stated), f"{f.ratio:.3f}", str(f.bubbles),
                      *latency, f.note])
    return table(cells, left=2)


def report(config: SpAttenConfig, seed: int, cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All of a bench for a JSON file; every case says `bit_exact`."""
    return {"preset": config.name, "config_hash": f"{config.hash:08x}", "config": config.fields, "seed": seed,
            "bit_exact": all(case["bit_exact"] for case in cases), "cases": list(cases)}


def verdict(mismatches: Sequence[str]) -> str:
    """The last lines of a report: equal to the golden model, or where not."""
    if not mismatches:
        return "equal to the golden model bit for bit"
    return "\n".join([f"{len(mismatches)} DIFFERENCES from the golden model",
                      *(f"DIFFERS {text}" for text in mismatches[:10])])


def span(transfers: Transfers) -> int:
    """Cycles from the first to the last transfer, both included."""
    return transfers.fired + transfers.bubbles


def compare(name: str, got: np.ndarray, want: np.ndarray, mismatches: list[str]) -> None:
    """Notes the first place where two arrays differ."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        mismatches.append(f"{name}: {got.shape} values, expected {want.shape}")
    elif not np.array_equal(got, want):
        at = tuple(int(x[0]) for x in np.nonzero(got != want))
        mismatches.append(f"{name}{list(at)}: {got[at]}, expected {want[at]}")


def mixes(rng: np.random.Generator, lanes: int, most: int, count: int) -> dict[str, list[int]]:
    """Lengths of `count` vectors, 1 … `most`, for rows of `lanes`: short, whole rows, one element over, long, mixed."""
    short, rows = rng.integers(1, lanes + 1, count), max(1, most // lanes)
    some = rng.integers(1, min(rows, 8) + 1, count) * lanes
    kinds = rng.integers(0, 4, count)
    mixed = np.choose(kinds, [np.ones(count, dtype=np.int64), short, some, rng.integers(1, most + 1, count)])
    lengths: dict[str, Sequence[int]] = {
        "n = 1": [1] * count, "whole rows": some.tolist(), "a row and 1": [lanes + 1] * count,
        f"n = {min(most, 384)}": [min(most, 384)] * count, "mixed": mixed.tolist()}
    if lanes > 2:
        lengths["n < R"] = [lanes - 1] * count
    return {name: [min(n, most) for n in values] for name, values in lengths.items()}
