"""The table of measured jobs, `measured.json`: what each drawn job has to do, and the cycles it took on which Verilog.

One line per seed of `draw.py`. Whole numbers and shares of six digits; tokens by slice only where the tokens alive are
a choice, flat queries by head only where some are flat and some not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from spatten_hw.errors import UserError
from spatten_hw.output import write_all
from spatten_hw.presets import PRESETS

from .draw import draw_plan, preset_of
from .measure import Measured, work_of
from .work import CLASSES, HEADS, Work

#: The table of the repository.
PATH = Path(__file__).with_name("measured.json")
#: Fields of `Work` in the order of a row, behind the cycles. Words begin on a beat in all drawn jobs.
FIELDS = tuple(f.name for f in fields(Work)
               if f.name not in ("classes", "flats", "descriptor_at", "ids_at", "scores_at"))
COLUMNS = ("cycles", *FIELDS, "tokens by slice", "flat queries by head")
#: Seeds of the table. Presets take turns.
SEEDS = range(330)


@dataclass(frozen=True)
class Table:
    """Measured jobs. `digests`: preset → digest of its Verilog; `plans`: seed → its jobs."""

    digests: dict[str, str]
    plans: dict[int, Measured]

    @classmethod
    def read(cls, path: Path = PATH) -> Table:
        """From a file; one that does not exist is empty."""
        if not path.exists():
            return cls({}, {})
        try:
            found = json.loads(path.read_text())
            known = found["fields"] == [*COLUMNS]
            plans = {int(seed): _decode(plan, preset_of(int(seed))) if known else _again(plan, int(seed))
                     for seed, plan in found["plans"].items()}
            return cls(found["digests"], plans)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); give --table another file") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is not a table of measured jobs ({error}); delete it and run: "
                            "python -m spatten_hw.sim.estimate calibrate") from None

    def write(self, path: Path = PATH) -> None:
        """To a file, whole or not at all."""
        lines = [f'"{seed}": {json.dumps(_encode(plan, preset_of(seed)), separators=(",", ":"))}'
                 for seed, plan in sorted(self.plans.items())]
        text = (f'{{"digests": {json.dumps(self.digests)},\n"fields": {json.dumps(COLUMNS)},\n'
                f'"plans": {{\n' + ",\n".join(lines) + "\n}}\n")
        write_all([(path, text.encode())])

    def jobs(self, preset: str, seeds: Iterable[int]) -> tuple[Work, np.ndarray]:
        """All jobs of a preset among the seeds, each alone, and their cycles."""
        found = [self.plans[s] for s in seeds if s in self.plans and preset_of(s) == preset]
        if not found:
            raise UserError(f"no job of '{preset}' has been measured; run: python -m spatten_hw.sim.estimate calibrate")
        return Work.joined([m.work for m in found]), np.concatenate([m.cycles for m in found])


def _again(plan: list, seed: int) -> Measured:
    """A plan of a table whose columns are others: the golden model says once more what its jobs do."""
    return Measured(work_of(draw_plan(seed)), [row[0] for row in plan[1]], plan[0])


def _encode(plan: Measured, preset: str) -> list[object]:
    work, slices = plan.work, PRESETS[preset].slices
    rows = []
    for n, cycles in enumerate(plan.cycles):
        row: list[object] = [cycles, *(_short(float(getattr(work, name)[n])) for name in FIELDS)]
        pruned, mixed = work.generate[n] and work.tokens[n] < work.context[n], 0 < work.flat[n] < 1
        by_slice = work.classes[n].reshape(-1, slices).sum(axis=0).astype(int).tolist() if pruned else 0
        by_head = work.flats[n][:int(work.heads[n])].astype(int).tolist() if mixed else 0
        rows.append([*row, by_slice, by_head] if mixed else [*row, by_slice] if pruned else row)
    return [plan.queued, rows]


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else float(f"{value:.6g}")


def _decode(plan: list, preset: str) -> Measured:
    queued, rows = plan
    values: dict[str, object] = {name: [row[1 + n] for row in rows] for n, name in enumerate(FIELDS)}
    classes, flats = np.full((len(rows), CLASSES), np.nan), np.full((len(rows), HEADS), np.nan)
    slices = PRESETS[preset].slices
    for n, row in enumerate(rows):
        by_slice, by_head = (*row[1 + len(FIELDS):], 0, 0)[:2]
        if by_slice:
            classes[n] = 0
            classes[n, :slices] = by_slice
        if by_head:
            flats[n, :len(by_head)] = by_head
    work = Work(**values, classes=classes, flats=flats, descriptor_at=0, ids_at=0, scores_at=0)  # type: ignore[arg-type]
    return Measured(work, [row[0] for row in rows], queued)
