"""Figures of `bench area` over commits: a JSON file that every run appends to, and a plot of it.

The file: {"series": {NAME: "smaller" or "larger"}, "runs": [{"commit", "date", "changed", "values": {NAME: number}}]}.
A series is named preset/unit/target/quantity and has a direction of its own: which way is better.
"""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.output import write_all

SMALLER, LARGER = "smaller", "larger"


@dataclass(frozen=True)
class Commit:
    """What was measured. `changed`: the tree differs from the commit."""

    name: str
    date: str
    changed: bool


def current_commit() -> Commit:
    """The commit of the source checkout. Raises `UserError` outside of one."""
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=Path(__file__).parent, check=True, capture_output=True,
                              text=True).stdout.strip()
    try:
        name, date = git("log", "-1", "--format=%h %cI").split()
        return Commit(name, date, bool(git("status", "--porcelain", "--untracked-files=no", ":/spatten_hw")))
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError("--history: the sources are not in a git checkout, so there is no commit to note") from error


def read_history(path: Path) -> dict:
    """The history, or an empty one if there is no such file. Raises `UserError` if it is not one."""
    if not path.exists():
        return {"series": {}, "runs": []}
    try:
        history = json.loads(path.read_text())
        ok = all({"commit", "date", "values"} <= set(run) for run in history["runs"])
        ok = ok and set(history["series"].values()) <= {SMALLER, LARGER}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        ok = False
    if not ok:
        raise UserError(f"{path}: is not a history of bench area; give another file or remove it")
    return history


def append(path: Path, commit: Commit, values: Mapping[str, float], directions: Mapping[str, str]) -> dict:
    """Adds a run; values measured again on an unchanged commit replace those it has. Returns the history."""
    history = read_history(path)
    runs = history["runs"]
    same = [run for run in runs if run["commit"] == commit.name and not run["changed"]]
    if same and not commit.changed:
        same[-1]["values"] |= values
    else:
        runs.append({"commit": commit.name, "date": commit.date, "changed": commit.changed, "values": dict(values)})
    history["series"] |= directions
    write_all([(path, (json.dumps(history, indent=1) + "\n").encode())])
    return history


def plot(history: dict, path: Path) -> None:
    """A panel per quantity, a line per series that has it, over the runs in their order. Raises `UserError` without
    matplotlib or with nothing to draw."""
    try:
        import matplotlib
    except ImportError as error:
        raise UserError("--plot needs matplotlib; install with: pip install 'spatten-hw[plots]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs: Sequence[dict] = history["runs"]
    quantities = sorted({name.rsplit("/", 1)[1] for name in history["series"]})
    if not runs or not quantities:
        raise UserError("--plot: the history is empty")
    columns = 2
    rows = -(-len(quantities) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(7 * columns, 3.2 * rows), squeeze=False)
    labels = [run["commit"] + ("*" if run["changed"] else "") for run in runs]
    for axis, quantity in zip(axes.flat, quantities, strict=False):
        directions = set()
        for name, direction in history["series"].items():
            if name.rsplit("/", 1)[1] != quantity:
                continue
            directions.add(direction)
            points = [(i, run["values"][name]) for i, run in enumerate(runs) if name in run["values"]]
            axis.plot([i for i, _ in points], [value for _, value in points], marker="o", markersize=3,
                      label=name.rsplit("/", 1)[0])
        axis.set_title(f"{quantity} ({' / '.join(sorted(directions))} is better)", fontsize=9)
        axis.set_xticks(range(len(labels)), labels, rotation=60, fontsize=6)
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=5, loc="upper left", bbox_to_anchor=(1.01, 1))
    for axis in list(axes.flat)[len(quantities):]:
        axis.set_visible(False)
    figure.tight_layout()
    image = io.BytesIO()
    figure.savefig(image, format=path.suffix[1:] or "svg")
    pyplot.close(figure)
    write_all([(path, image.getvalue())])
