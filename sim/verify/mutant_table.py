"""The table of a mutation run: by unit, how many mutants, who killed them, who is left."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

#: Mutants that compute the same as the design: key → why.
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


@cache
def equivalent() -> dict[str, str]:
    """Key of an equivalent mutant → why it is one."""
    return {entry["mutant"]: entry["reason"] for entry in tomllib.loads(EQUIVALENT.read_text()).get("equivalent", ())}


@dataclass(frozen=True)
class Row:
    """A unit: mutants sampled, killed by its own bench or by the accelerator's tests (of both `timeouts` by taking too
    long), equivalent ones, those that survive both (keys), and those not tried yet."""

    unit: str
    mutants: int
    own: int
    accelerator: int
    equivalent: int
    survivors: tuple[str, ...]
    untried: int
    timeouts: int = 0

    @classmethod
    def of(cls, unit: str, keys: Sequence[str], results: dict[str, dict[str, Any]]) -> Row:
        same = [k for k in keys if k in equivalent()]
        rest = [k for k in keys if k not in equivalent()]
        killed = [results[k]["killed"] for k in rest if "killed" in results.get(k, {})]
        left = tuple(k for k in rest if k in results and "killed" not in results[k])
        return cls(unit, len(keys), killed.count("bench"), killed.count("accelerator"), len(same), left,
                   len(rest) - len(killed) - len(left),
                   sum(results.get(k, {}).get("verdict") == "timeout" for k in rest))

    @property
    def tried(self) -> int:
        """Mutants that are not equivalent and have been tried."""
        return self.own + self.accelerator + len(self.survivors)

    @property
    def killed_percent(self) -> float:
        return 100 * (self.own + self.accelerator) / self.tried if self.tried else 0.0


def table(rows: Sequence[Row]) -> str:
    """Markdown, with a last row of sums."""
    everything = Row("all", sum(r.mutants for r in rows), sum(r.own for r in rows), sum(r.accelerator for r in rows),
                     sum(r.equivalent for r in rows), tuple(s for r in rows for s in r.survivors),
                     sum(r.untried for r in rows), sum(r.timeouts for r in rows))
    lines = ["| unit | mutants | killed by its bench | by the accelerator's tests | equivalent | survive | not tried | "
             "killed |", "|---|---|---|---|---|---|---|---|"]
    for r in [*rows, everything]:
        percent = f"{r.killed_percent:.1f} %" if r.tried else "–"
        lines.append(f"| {r.unit} | {r.mutants} | {r.own} | {r.accelerator} | {r.equivalent} | {len(r.survivors)} | "
                     f"{r.untried} | {percent} |")
    lines += ["", f"Killed by taking too long: {everything.timeouts}."]
    return "\n".join(lines)


def write_report(folder: Path, rows: Sequence[Row], design: str, seed: int) -> None:
    """report.md and report.json in `folder`: the table, and the survivors by name."""
    lines = [f"Mutants of design {design}, seed {seed}.", "", table(rows), ""]
    for row in rows:
        lines += [f"Survivor in {row.unit}: `{key}`" for key in row.survivors]
    (folder / "report.md").write_text("\n".join(lines) + "\n")
    (folder / "report.json").write_text(json.dumps(
        {"design": design, "seed": seed, "units": [asdict(row) | {"killed_percent": row.killed_percent}
                                                   for row in rows]}, indent=1))
