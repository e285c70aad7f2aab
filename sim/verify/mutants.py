"""`python -m spatten_hw.sim.verify.mutants`: do the tests notice when the design is wrong?

Makes mutants of every unit (`sample.py`), runs the unit's own benches on each and, if they pass, the accelerator's
tests. Results are kept in build/mutants/, one file per unit: a stopped run goes on where it was, and a survivor is
tried again only when a test has changed. All mutants of a design are in one netlist, of which the environment chooses
one: a bench is compiled once, not once per mutant.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from spatten_hw.errors import UserError

from .mutant_table import table, write_report
from .mutant_unit import UnitMutants
from .sample import all_sites, sample, write_list
from .sites import ROOT
from .units import BY_NAME, UNITS

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
    works = [UnitMutants(unit, chosen[unit.name], numbers, folder, design) for unit in units]
    _in_parallel(options.jobs, lambda: _work(works, end, options.own))
    rows = [UnitMutants(unit, chosen[unit.name], numbers, folder, design).row() for unit in units]
    text = table(rows)
    write_report(folder, rows, design, options.seed)
    print(text)
    print(f"report: {folder / 'report.md'}, {folder / 'report.json'}")
    return 0 if all(row.killed_percent >= options.bar for row in rows if row.tried) else 1


def _work(works: list[UnitMutants], end: float | None, own: bool) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
