"""`python -m spatten_hw.sim.verify.mutants`: do the tests notice when the design is wrong?

Makes mutants of every unit (`sample.py`), runs the unit's own benches on each and, if they pass, the accelerator's
tests. Results are kept in build/mutants/, one file per unit: a stopped run goes on where it was, and a survivor is
tried again only when a test has changed. All mutants of a design are in one netlist, of which the environment chooses
one: a bench is compiled once, not once per mutant.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spatten_hw.errors import UserError

from .mutant_runs import Run, limit_of, run_tests
from .mutant_table import Row, equivalent, table, write_report
from .sample import all_sites, sample, write_list
from .sites import ROOT, Mutant
from .units import ACCELERATOR, BY_NAME, UNITS, Unit

#: Results of other samples, seeds or designs are not mixed with these.
FOLDER = ROOT / "build" / "mutants"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: at least `--bar` of the mutants tried that are not equivalent are killed; 1: fewer; 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.verify.mutants",
                                     description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--unit", action="append", metavar="NAME", help="only this unit (may be given again); all: "
                        + ", ".join(u.name for u in UNITS))
    parser.add_argument("--count", type=int, default=30, help="mutants of every unit (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default 1)")
    parser.add_argument("--seconds", type=float, help="stop after as many seconds; what is left is done by a later run")
    parser.add_argument("--jobs", type=int, default=1, help="units at a time (default 1)")
    parser.add_argument("--bar", type=float, default=95.0, help="percent that must be killed (default 95)")
    parser.add_argument("--own", action="store_true", help="only the units' own benches, not the accelerator's tests")
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    options = parser.parse_args(arguments)
    # A run that is told to end takes the simulations it started with it, also where a shell has it ignore Ctrl-C.
    before = [(number, signal.signal(number, _stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        return _run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _run(options: argparse.Namespace) -> int:
    for name in options.unit or ():
        if name not in BY_NAME:
            raise UserError(f"--unit {name}: no such unit; there are {', '.join(BY_NAME)}")
    for name in ("count", "jobs"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} {getattr(options, name)}: at least 1")
    units = [BY_NAME[name] for name in options.unit] if options.unit else list(UNITS)
    folder = FOLDER / f"{options.count}-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    found, design = all_sites(FOLDER, lambda what: print(what, flush=True))
    chosen = sample(found, options.count, options.seed)
    numbers = write_list(folder / "list.json", chosen)
    print(f"{len(numbers)} mutants of {len(UNITS)} units, seed {options.seed}, design {design}, in {folder}")
    if options.list:
        for unit in units:
            print(*(f"{unit.name} {numbers[m]}: {m.key}" for m in chosen[unit.name]), sep="\n")
        return 0
    end = time.monotonic() + options.seconds if options.seconds is not None else None
    works = [_Unit(unit, chosen[unit.name], numbers, folder, design) for unit in units]
    _in_parallel(options.jobs, lambda: _work(works, end, options.own))
    rows = [_Unit(unit, chosen[unit.name], numbers, folder, design).row() for unit in units]
    text = table(rows)
    write_report(folder, rows, design, options.seed)
    print(text)
    print(f"report: {folder / 'report.md'}, {folder / 'report.json'}")
    return 0 if all(row.killed_percent >= options.bar for row in rows if row.tried) else 1


def _work(works: list[_Unit], end: float | None, own: bool) -> None:
    """All units that no other process is at."""
    for work in works:
        with work.path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            work.load()
            work.run(end, own)


def _in_parallel(jobs: int, work: Callable[[], None]) -> None:
    """`work` in as many processes; it shares itself out. Raises `UserError` if one fails (which has said why)."""
    if jobs == 1:
        work()
        return
    children = []
    for _ in range(jobs):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work()
                code = 0
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
            finally:
                sys.stdout.flush()
                os._exit(code)
        children.append(child)
    try:
        failed = [child for child in children if os.waitpid(child, 0)[1]]
    except KeyboardInterrupt:
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        raise
    if failed:
        raise UserError("some units could not be tried, see above; the same command goes on with the others")


@dataclass
class _Unit:
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


if __name__ == "__main__":
    sys.exit(main())
