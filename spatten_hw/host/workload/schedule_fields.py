"""The table `schedule` of a job, read into a schedule and expanded into counts (`docs/workloads.md`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from .fixed_schedule import FixedCounts, FixedRatios
from .schedule import PaperSchedule, Schedule, ScheduleError, violation

#: `kind` in a job file → what it builds; the other fields are those of the class.
KINDS: dict[str, type[Schedule]] = {"paper": PaperSchedule, "counts": FixedCounts, "ratios": FixedRatios}
#: Job fields that a schedule stands for.
KEEPS = ("keep_tokens", "keep_heads", "keep_values")


def read_schedule(table: object) -> Schedule:
    """The schedule of a raw table: `kind` and the fields of its class; "all", which TOML has for null, is None.

    Raises `ScheduleError` with every violation.
    """
    if not isinstance(table, Mapping):
        raise ScheduleError([violation("schedule", table, "must be a table", 'write [schedule] and kind = "paper"')])
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ScheduleError([violation("kind", kind, "is not a kind of schedule",
                                       f"use one of {', '.join(KINDS)}")])
    build = KINDS[kind]
    names = [f.name for f in fields(build)]  # type: ignore[arg-type]
    given = {str(name): _plain(value) for name, value in table.items() if name != "kind"}
    violations = [violation(name, value, f"is not a field of kind {kind!r}", f"use {', '.join(names)}")
                  for name, value in given.items() if name not in names]
    try:
        schedule = build(**{name: value for name, value in given.items() if name in names})
    except ScheduleError as e:
        raise ScheduleError(violations + e.violations) from None
    if violations:
        raise ScheduleError(violations)
    return schedule


def _plain(value: object) -> object:
    if isinstance(value, list):
        return tuple(None if x == "all" else x for x in value)
    return None if value == "all" else value


def expand(schedule: Schedule, layers: int, lengths: Sequence[int], heads: int, protected: int, generate: bool
           ) -> dict[str, list]:
    """The job fields `KEEPS` of a schedule: per layer, in generation a list of such lists, one per length."""
    steps = schedule.generation(layers, lengths, heads, protected)
    columns = {name: [list(getattr(c, name.removeprefix("keep_"))) for c in steps] for name in KEEPS}
    return columns if generate else {name: lists[0] for name, lists in columns.items()}
