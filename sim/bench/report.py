"""What `bench attention` tells of a case: against its bound, unit by unit, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.results import BYTE_CLASSES

from .bounds import LABELS, Bound, total
from .cases import Target
from .measure import BUSY, STALL, Measurement
from .table import table


@dataclass(frozen=True)
class Part:
    """Some of a case's queries taken together (a class of requests)."""

    name: str
    items: int
    cycles: int
    bound: Bound
    bytes: int


@dataclass(frozen=True)
class Row:
    """A case, measured. `items`: queries of heads; `counters`: of the hardware, for these cycles."""

    name: str
    shape: str
    items: int
    cycles: int
    bound: Bound
    counters: dict[str, int]
    target: Target | None = None
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    mismatches: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def of(cls, name: str, shape: str, m: Measurement, target: Target | None = None, **more) -> Row:
        """One run."""
        return cls(name, shape, m.counters["queries"], m.cycles, total(m.bounds), m.counters, target,
                   mismatches=m.mismatches, seconds=m.seconds, **more)

    @classmethod
    def between(cls, name: str, shape: str, less: Measurement, more: Measurement, target: Target | None) -> Row:
        """What `more` takes beyond `less`."""
        counters = {n: count - less.counters[n] for n, count in more.counters.items()}
        return cls(name, shape, counters["queries"], more.cycles - less.cycles, total(more.bounds) - total(less.bounds),
                   counters, target, mismatches=less.mismatches + more.mismatches,
                   seconds=less.seconds + more.seconds)

    @property
    def bytes(self) -> dict[str, int]:
        return {name: self.counters[f"bytes_{name}"] for name in BYTE_CLASSES}

    @property
    def reached(self) -> float | None:
        """The figure that the target speaks of."""
        if self.target is None:
            return None
        return self.target.reached(self.cycles, self.bound.roof, self.items)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None or self.reached is None else self.target.met(self.reached)

    def share(self, counter: str) -> float:
        """A counter of cycles per cycle."""
        return self.counters[counter] / self.cycles

    @property
    def as_json(self) -> dict[str, object]:
        target = None
        if self.target is not None:
            target = {"figure": self.target.figure, "limit": self.target.limit, "text": self.target.text,
                      "reached": self.reached, "met": self.met}
        return {
            "name": self.name, "shape": self.shape, "queries": self.items, "cycles": self.cycles,
            "cycles_per_query": self.cycles / self.items, "bound": self.bound.as_json,
            "ratio": self.cycles / self.bound.limit, "target": target,
            "busy": {name: self.share(f"busy_{name}") for name in BUSY},
            "stall": {name: self.share(f"stall_{name}") for name in STALL},
            "bytes": self.bytes, "counters": self.counters,
            "parts": [{"name": p.name, "queries": p.items, "cycles_per_query": p.cycles / p.items,
                       "bound_per_query": p.bound.limit / p.items, "bytes_per_query": p.bytes / p.items}
                      for p in self.parts],
            "notes": list(self.notes), "bit_exact": not self.mismatches, "mismatches": self.mismatches,
            "seconds": round(self.seconds, 3),
        }


def report(config: SpAttenConfig, latency: int, rows: Sequence[Row]) -> dict[str, object]:
    """All of it for a JSON file."""
    return {"preset": config.name, "config_hash": f"{config.hash:08x}", "config": config.fields,
            "memory": {"latency": latency, "peak_bytes_per_cycle": config.channels * config.beat_bytes},
            "bit_exact": not any(row.mismatches for row in rows), "cases": [row.as_json for row in rows]}


def render(rows: Sequence[Row]) -> str:
    """All of it for a terminal."""
    blocks = [_against_bounds(rows), _units(rows)]
    blocks += [_parts(row) for row in rows if row.parts]
    lines = [f"{row.name}: {note}" for row in rows for note in row.notes]
    cycles, seconds = sum(row.counters["cycles"] for row in rows), sum(row.seconds for row in rows)
    differ = [text for row in rows for text in row.mismatches]
    verdict = f"{len(differ)} DIFFERENCES from the golden model" if differ else "equal to the golden model bit for bit"
    lines.append(f"{cycles} cycles in {seconds:.1f} s; {verdict}")
    return "\n\n".join([*blocks, "\n".join([*lines, *(f"DIFFERS {text}" for text in differ[:10])])])


def _against_bounds(rows: Sequence[Row]) -> str:
    cells = [["case", "shape", "queries", "cycles", "per query", "bound", "binds", "ratio", "target", "reached", "met"]]
    for r in rows:
        met = {None: "-", True: "yes", False: "NO"}[r.met]
        target, reached = "-", "-"
        if r.target is not None and r.reached is not None:
            target, reached = r.target.text, r.target.show(r.reached)
        cells.append([r.name, r.shape, str(r.items), str(r.cycles), f"{r.cycles / r.items:.1f}",
                      f"{r.bound.limit:.0f}", LABELS[r.bound.binds], f"{r.cycles / r.bound.limit:.3f}", target,
                      reached, met])
    return table(cells, left=2)


def _units(rows: Sequence[Row]) -> str:
    cells = [["% of cycles", *(f"{name} busy" for name in BUSY), *(f"{name} stall" for name in STALL), "bytes",
              "B/cycle"]]
    for r in rows:
        moved = sum(r.bytes.values())
        cells.append([r.name, *(f"{100 * r.share(f'busy_{n}'):.1f}" for n in BUSY),
                      *(f"{100 * r.share(f'stall_{n}'):.1f}" for n in STALL), str(moved), f"{moved / r.cycles:.1f}"])
    return table(cells)


def _parts(row: Row) -> str:
    cells = [[row.name, "queries", "cycles/query", "bound/query", "binds", "ratio", "bytes/query"]]
    for p in row.parts:
        cells.append([p.name, str(p.items), f"{p.cycles / p.items:.1f}", f"{p.bound.limit / p.items:.1f}",
                      LABELS[p.bound.binds], f"{p.cycles / p.bound.limit:.3f}", f"{p.bytes / p.items:.0f}"])
    return table(cells)
