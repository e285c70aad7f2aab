"""A sweep in a few lines: before it is measured, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .file import Sweep
from .fronts import fronts, pairs
from .point import Point
from .run import tasks_of
from .table import Row, counts


def listed(points: Sequence[Point]) -> str:
    """Points in a few lines, before anything is measured."""
    kinds = [task.kind for task in tasks_of(points).values()]
    lines = [f"{len(points):,} points, {len(kinds):,} measurements: "
             + ", ".join(f"{kinds.count(kind):,} {kind}" for kind in dict.fromkeys(kinds))]
    reasons: dict[str, list[int]] = {}
    for point in points:
        for why in dict.fromkeys(point.refused.values()):
            reasons.setdefault(why, []).append(point.number)
    for why, numbers in sorted(reasons.items(), key=lambda item: -len(item[1])):
        lines.append(f"refused: {', '.join(map(str, numbers[:5]))}{' …' * (len(numbers) > 5)} ({len(numbers)}): {why}")
    return "\n".join(lines)


def said(sweep: Sweep, rows: Sequence[Row]) -> str:
    """What came of a sweep, and the fronts."""
    lines = [f"{sweep.name}: {len(rows):,} points, " + ", ".join(f"{n:,} {status}" for status, n in
                                                                 counts(rows).items())]
    for pair in pairs(rows, sweep.pareto):
        for front in fronts(rows, pair):
            numbers = ", ".join(str(row["point"]) for row in front.best[:12]) + " …" * (len(front.best) > 12)
            lines.append(f"{front.x} against {front.y}, {front.name or 'all'}: best are points {numbers}")
    failed = [row for row in rows if row["status"] == "failed"]
    lines += [f"point {row['point']} FAILED, {row['reason']}" for row in failed[:10]]
    return "\n".join(lines)


def as_json(sweep: Sweep, rows: Sequence[Row]) -> bytes:
    """Counts and fronts, for machines."""
    report = {"sweep": sweep.name, "points": len(rows), **counts(rows),
              "pareto": [{"of": f.name, "x": f.x, "y": f.y, "points": [r["point"] for r in f.best]}
                         for pair in pairs(rows, sweep.pareto) for f in fronts(rows, pair)]}
    return (json.dumps(report, indent=1) + "\n").encode()
