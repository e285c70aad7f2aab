"""The data in a page: the record for whoever reads it (`docs/report.md`), and states of cells for its own script."""

from __future__ import annotations

import json
from typing import Any

from . import levels, totals
from .limits import Selection, Shown
from .record import LayerRecord, RunRecord
from .words import alive

#: Significant digits of importance.
DIGITS = 6


def public(record: RunRecord, selection: Selection) -> dict[str, Any]:
    """The record as JSON: everything about what is shown, and sums over all there is."""
    whole = record.as_json()
    del whole["sequences"]
    return {
        **whole, "left_out": selection.left_out, "total": totals.of_run(record).as_json(),
        "sequences": [
            {"label": s.sequence.label, "note": s.sequence.note, "tokens": list(s.sequence.tokens),
             "steps_in_all": len(s.sequence.steps),
             "steps": [{"step": i, "name": s.sequence.steps[i].name,
                        "layers": [_layer(x) for x in s.sequence.steps[i].layers]} for i in s.steps],
             "total": totals.of_sequence(s.sequence).as_json(),
             "per_layer": [{"layer": n, **c.as_json()} for n, c in totals.per_layer([s.sequence]).items()],
             "per_step": [{"name": step.name, **c.as_json()} for step, c in zip(
                 s.sequence.steps, totals.per_step(s.sequence), strict=True)]}
            for s in selection.parts]}


def _layer(x: LayerRecord) -> dict[str, Any]:
    return {**vars(x), "importance": _short(x.importance), "head_importance": _short(x.head_importance)}


def _short(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else [float(f"{v:.{DIGITS}g}") for v in values]


def states(shown: Shown) -> dict[str, Any]:
    """What the script shows of the steps of a sequence: per step and layer a character per word, column and head,
    and the counts written beside them."""
    steps = []
    for i in shown.steps:
        step = shown.sequence.steps[i]
        rows, heads = levels.token_rows(step, len(shown.sequence.tokens)), levels.head_rows(step.layers)
        columns = [levels.merged(r, shown.columns) for r in rows]
        steps.append({
            "name": step.name, "tokens": columns, "heads": heads,
            # The same strings, if every token is a word and a column: then they are there once.
            "words": None if rows == columns and len(shown.words) == len(shown.sequence.tokens)
            else ["".join(r[t] for t in shown.words) for r in rows],
            "token_counts": [alive(r) for r in rows], "head_counts": [alive(r) for r in heads]})
    return {"steps": steps, "columns": [[g[0], g[-1]] for g in shown.columns], "words": _runs(shown.words)}


def _runs(ids: list[int]) -> list[list[int]]:
    """Ascending ids as [first, last] of runs without a gap."""
    runs: list[list[int]] = []
    for i in ids:
        if runs and runs[-1][1] == i - 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return runs


def embed(element: str, value: Any) -> str:
    """A script element that holds JSON. `<` is written as an escape: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{element}">{text}</script>'
