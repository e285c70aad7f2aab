"""The mutants of one unit: which have been tried, by which tests they were killed, kept on disk as it goes."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spatten_hw.errors import UserError

from .mutant_runs import Run, limit_of, run_tests
from .mutant_table import Row, equivalent
from .sites import ROOT, Mutant
from .units import ACCELERATOR, Unit


@dataclass
class UnitMutants:
    """A unit's mutants and what is known of them: `results[key]` as in the unit's file."""

    unit: Unit
    mutants: list[Mutant]
    numbers: dict[Mutant, int]
    folder: Path
    design: str
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = self.folder / f"{self.unit.name.replace('/', '-')}.json"
        self.load()
        self.tests = {"bench": _digest(self.unit.bench), "accelerator": _digest(ACCELERATOR)}
        self.order: dict[str, float] = {}
        self.stamp = _stamp()
        self.log = self.path.with_suffix(".log")

    def load(self) -> None:
        """Takes what is known of the mutants from the unit's file."""
        if self.path.exists():
            read = json.loads(self.path.read_text())
            if read["design"] == self.design:
                self.results = read["mutants"]

    def run(self, end: float | None, own: bool) -> None:
        """Tries every mutant that has not been; until `end` (of the monotonic clock)."""
        excused = equivalent()
        baselines: dict[str, Run] = {}
        left = [m for m in self.mutants if m.key not in excused and self._open(m, own)]
        for n, mutant in enumerate(left, 1):
            entry = self.results.get(mutant.key) or {"number": self.numbers[mutant], "survived": {}}
            for kind, tests in (("bench", self.unit.bench), ("accelerator", ACCELERATOR)):
                if entry["survived"].get(kind) == self.tests[kind] or (own and kind == "accelerator"):
                    continue
                if kind not in baselines:
                    baselines[kind] = self._baseline(kind, tests)
                if end is not None and time.monotonic() > end:
                    print(f"{self.unit.name}: time is up, {len(left) - n + 1} mutants left")
                    return
                run = run_tests(tests, self.numbers[mutant], self.folder / "list.json", self.order,
                                limit_of(baselines[kind]), self.log)
                if _stamp() != self.stamp:
                    raise UserError("sources or tests have changed since this began, what failed may be due to that: "
                                    "start again")
                if run.verdict == "broken":
                    raise UserError(f"{self.unit.name}: pytest could not run {' '.join(tests)}; see "
                                    f"{self.log}")
                # The first run compiled: later ones tell which tests are quick.
                self.order |= {t: min(d, self.order.get(t, d)) for t, d in run.durations.items() if t != run.test}
                if run.verdict == "passed":
                    entry["survived"][kind] = self.tests[kind]
                    continue
                entry |= {"killed": kind, "verdict": run.verdict, "test": run.test, "why": run.why}
                # What has killed is tried first.
                if run.test:
                    self.order[run.test] = self.order.get(run.test, 0.0) / 2
                break
            self.results[mutant.key] = entry
            self._save()
            fate = (f"killed by {entry['killed']}, {entry['test'] or entry['verdict']}" if "killed" in entry else
                    "SURVIVES")
            print(f"{self.unit.name} {n}/{len(left)} {run.seconds:.1f} s, {mutant.key}: {fate}", flush=True)

    def _open(self, mutant: Mutant, own: bool) -> bool:
        entry = self.results.get(mutant.key)
        if entry is None:
            return True
        kinds = ("bench",) if own else ("bench", "accelerator")
        return "killed" not in entry and any(entry["survived"].get(k) != self.tests[k] for k in kinds)

    def _baseline(self, kind: str, tests: tuple[str, ...]) -> Run:
        """The tests on mutant 0, which compiles all that they need: they pass, and take how long? Kept."""
        listed = _digest_of(self.folder / "list.json")
        name = hashlib.sha256(f"{tests} {self.tests[kind]} {listed}".encode()).hexdigest()[:12]
        kept = self.folder / f"baseline-{name}.json"
        if kept.exists():
            run = Run(**json.loads(kept.read_text()))
        else:
            print(f"{self.unit.name}: {kind} on the unchanged design", flush=True)
            run = run_tests(tests, 0, self.folder / "list.json", {}, None, self.log)
            if run.verdict != "passed":
                raise UserError(f"{self.unit.name}: {run.test or ' '.join(tests)} fails without any mutant: {run.why}; "
                                f"see {self.log}")
            kept.write_text(json.dumps(asdict(run), indent=1))
        self.order |= run.durations
        seconds = sum(run.durations.values())
        print(f"{self.unit.name}: {kind}, {len(run.durations)} tests, {seconds:.1f} s with compiling", flush=True)
        return run

    def _save(self) -> None:
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps({"unit": self.unit.name, "design": self.design, "mutants": self.results}, indent=1))
        part.rename(self.path)

    def row(self) -> Row:
        """What came of the unit's mutants."""
        return Row.of(self.unit.name, [m.key for m in self.mutants], self.results)


def _stamp() -> int:
    """Changes when a source or a test does."""
    files = (path for part in ("spatten_hw", "sim", "tests") for path in (ROOT / part).rglob("*.[pch]*"))
    return hash(tuple(sorted((str(p), p.stat().st_mtime_ns) for p in files if "__pycache__" not in p.parts)))


def _digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _digest(tests: tuple[str, ...]) -> str:
    """Of the files of these tests: what they were, not only what they are called."""
    files = sorted({ROOT / test.split("::")[0] for test in tests})
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]
