"""What came of every seed, kept over runs: one JSON file, written anew after each configuration."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spatten_hw.errors import UserError
from spatten_hw.source_tree import sources_digest

#: What can come of a seed. "unfinished": stopped by the time limit of a configuration.
OUTCOMES = ("refused", "passed", "failed", "unfinished")
Entry = dict[str, Any]


def generator_digest() -> str:
    """The generator's sources by a short name: the same name, the same RTL."""
    return sources_digest()[:12]


class Tally:
    """The entries of a file, the latest of a seed: seed, digest, outcome, fields, queries, cycles and more."""

    def __init__(self, path: Path):
        self.path = path
        self.entries: dict[int, Entry] = {}
        if path.exists():
            try:
                self.entries = {int(e["seed"]): e for e in json.loads(path.read_text())["entries"]}
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise UserError(f"{path}: is no tally of a soak ({error}): move it away") from None

    def add(self, entry: Entry) -> None:
        """Adds an entry in the place of an earlier one of its seed, and writes the file."""
        self.entries[entry["seed"]] = entry
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({"entries": [self.entries[s] for s in sorted(self.entries)]}, indent=0))
        part.rename(self.path)

    def pending(self, first: int, digest: str) -> Iterable[int]:
        """Seeds to run: those that failed or did not finish with other sources, then those never run, from `first`."""
        yield from sorted(s for s, e in self.entries.items()
                          if e["outcome"] in ("failed", "unfinished") and e["digest"] != digest)
        seed = first
        while True:
            if seed not in self.entries:
                yield seed
            seed += 1

    def report(self, digest: str) -> Entry:
        """Sums: of all entries, and of those of the present sources."""
        return {"all": summed(self.entries.values()), "digest": digest,
                "present": summed(e for e in self.entries.values() if e["digest"] == digest)}


def summed(entries: Iterable[Entry]) -> Entry:
    """Numbers of outcomes, queries, cycles, jobs, cases, features, and how often each value of a field was run."""
    found: Entry = {**dict.fromkeys(OUTCOMES, 0), "queries": 0, "cycles": 0, "jobs": 0, "cases": 0}
    features: Counter[str] = Counter()
    fields: dict[str, Counter[str]] = {}
    for e in entries:
        found[e["outcome"]] += 1
        features.update(e.get("features", {}))
        for name in ("queries", "cycles", "jobs", "cases"):
            found[name] += e.get(name, 0) if e["outcome"] == "passed" else 0
        if e["outcome"] == "passed":
            for name, value in e["fields"].items():
                fields.setdefault(name, Counter())[str(value)] += 1
    return found | {"features": dict(features), "fields": {name: dict(count) for name, count in fields.items()}}


def markdown(tally: Tally, digest: str) -> str:
    """The tally as tables."""
    report = tally.report(digest)
    columns = [("all sources", report["all"]), (f"present sources ({digest})", report["present"])]
    lines = ["| | " + " | ".join(title for title, _ in columns) + " |", "|---|" + "---|" * len(columns)]
    for name in (*OUTCOMES, "queries", "cycles", "jobs", "cases"):
        title = f"configurations {name}" if name in OUTCOMES else f"{name} of those that passed"
        lines.append(f"| {title} | " + " | ".join(f"{sums[name]:,}" for _, sums in columns) + " |")
    lines += ["", "| field | values of configurations that passed (× times) |", "|---|---|"]
    for name, count in report["all"]["fields"].items():
        lines.append(f"| {name} | {_counts(count)} |")
    lines += ["", "| feature | cases |", "|---|---|"]
    lines += [f"| {name} | {n:,} |" for name, n in sorted(report["all"]["features"].items())]
    failed = [e for e in tally.entries.values() if e["outcome"] in ("failed", "unfinished")]
    if failed:
        lines += ["", "| seed | sources | outcome | first difference |", "|---|---|---|---|"]
        lines += [f"| {e['seed']} | {e['digest']} | {e['outcome']} | {_first(e)} |" for e in failed]
    return "\n".join(lines)


def _counts(count: dict[str, int]) -> str:
    """Values in order, with how often each came."""
    keys = sorted(count, key=lambda v: (0, int(v), v) if v.isdigit() else (1, 0, v))
    return ", ".join(f"{v} × {count[v]}" for v in keys)


def _first(entry: Entry) -> str:
    """The first thing that is wrong, cut to fit a table."""
    return str(entry["wrong"][0]).replace("|", "/").splitlines()[0][:160]
