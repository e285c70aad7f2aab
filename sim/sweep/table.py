"""The table of a sweep: a row per point, as CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from .metrics import KINDS
from .point import Point
from .results import Results
from .task import FAILED, OK, REFUSED

#: What a cell may be; `None`: nothing to say.
Cell = str | int | float | bool | None
Row = dict[str, Cell]
#: Columns in front, in this order. `keys`: of the point's measurements in the file of results.
FIRST = ("point", "status", "reason", "workload", "config")
#: Columns at the end.
LAST = ("verilog_digest", "model_digest", "seconds", "keys")
#: Fields of sections as the table calls them.
RENAMED = {"memory_name": "memory", "memory_clock": "clock_ns", "memory_latency": "latency"}


def rows_of(points: Sequence[Point], results: Results) -> list[Row]:
    """The rows of all points, every one with all columns."""
    rows = [_row(point, results) for point in points]
    names = dict.fromkeys(name for row in rows for name in row)
    metrics = [n for kind in KINDS for n in names if n.startswith(f"{kind}_") and n not in LAST]
    fields = [n for n in names if n not in (*FIRST, *metrics, *LAST)]
    order = [n for n in (*FIRST, *fields, *metrics, *LAST) if n in names]
    return [{name: row.get(name) for name in order} for row in rows]


def _row(point: Point, results: Results) -> Row:
    row: Row = {"point": point.number, "status": OK, "reason": ""}
    row |= {RENAMED.get(name, name): value for name, value in point.columns.items()}  # type: ignore[misc]
    reasons = [(REFUSED, kind, why) for kind, why in point.refused.items()]
    seconds, keys = 0.0, []
    for kind, task in point.tasks.items():
        key = task.key
        found = results.results[key]
        keys.append(key)
        seconds += found["seconds"]
        if found["status"] != OK:
            reasons.append((found["status"], kind, found["reason"]))
        for name, value in found["metrics"].items():
            row[name if name in LAST else f"{kind}_{name}"] = value
    if reasons:
        row["status"] = FAILED if any(status == FAILED for status, _, _ in reasons) else REFUSED
        # One line for what all measurements say alike.
        said: dict[str, list[str]] = {}
        for _, kind, why in reasons:
            said.setdefault(why, []).append(kind)
        row["reason"] = "; ".join(f"{', '.join(kinds)}: {why}" for why, kinds in said.items())
    return row | {"seconds": round(seconds, 3), "keys": " ".join(keys)}


def as_csv(rows: Sequence[Row]) -> bytes:
    """The table as CSV, UTF-8, with a header; true and false in small letters as in JSON."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(str(x).lower() if isinstance(x, bool) else "" if x is None else x for x in row.values())
    return text.getvalue().encode()


def as_parquet(rows: Sequence[Row], about: Mapping[str, str]) -> bytes:
    """The table as Parquet; `about` goes into its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: _column([row[name] for row in rows]) for name in rows[0]}
    table = pa.table(columns).replace_schema_metadata(dict(about))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _column(values: list[Cell]) -> list[Cell]:
    """Values of one type: whole numbers and others are all numbers, anything else text."""
    kinds = {type(v) for v in values if v is not None}
    if len(kinds) < 2:
        return values
    if kinds == {int, float}:
        return [None if v is None else float(v) for v in values]  # type: ignore[arg-type]
    return [None if v is None else str(v) for v in values]


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """Status → points."""
    return {status: sum(row["status"] == status for row in rows) for status in (OK, REFUSED, FAILED)}
