"""`python -m spatten_hw.sim.verify.coverage [TEST …]`: what of the generated Verilog do the tests reach?

Runs files of tests with simulations that count branches and toggles, adds up what they reach in terms of the
generator's source, and which kinds of job were run, and writes build/coverage/index.html, report.md and report.json.
What a file of tests covers is kept until a source or that file changes: a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from spatten_hw.errors import UserError

from .bins import CROSSES, counted
from .coverage_page import by_unit, missed_lines, page, table
from .coverage_runs import Covered, kept_file, run, sources_digest
from .sites import ROOT
from .units import ACCELERATOR, BY_NAME, UNITS

FOLDER = ROOT / "build" / "coverage"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2: bad input, or a test failed."""
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.verify.coverage",
                                     description=(__doc__ or "").split("\n")[0])
    parser.add_argument("tests", nargs="*", metavar="TEST", help="files of tests (default: the benches of all units, "
                        "and the accelerator's)")
    parser.add_argument("--unit", action="append", metavar="NAME", help="the benches of this unit (may be given again)")
    parser.add_argument("--seconds", type=float, help="begin no more files after as many seconds; a later run does")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130


def _tests(options: argparse.Namespace) -> list[str]:
    for name in options.unit or ():
        if name not in BY_NAME:
            raise UserError(f"--unit {name}: no such unit; there are {', '.join(BY_NAME)}")
    units = [BY_NAME[name] for name in options.unit or ()]
    if not units and not options.tests:
        units = list(UNITS)
    named = [*options.tests, *(test for unit in units for test in unit.bench)]
    if not options.tests and not options.unit:
        named += ACCELERATOR
    for test in named:
        if not (ROOT / test.split("::")[0]).is_file():
            raise UserError(f"{test}: there is no such file of tests below {ROOT}")
    return list(dict.fromkeys(named))


def _run(options: argparse.Namespace) -> int:
    tests = _tests(options)
    FOLDER.mkdir(parents=True, exist_ok=True)
    sources = sources_digest()
    end = time.monotonic() + options.seconds if options.seconds is not None else None
    parts: list[Covered] = []
    done: list[str] = []
    for n, test in enumerate(tests, 1):
        known = kept_file(FOLDER, test, sources).exists()
        if not known and end is not None and time.monotonic() > end:
            continue
        print(f"{n}/{len(tests)} {test}{' (known)' if known else ''}", flush=True)
        parts.append(run(test, FOLDER, sources))
        done.append(test)
    if len(done) < len(tests):
        print(f"time is up: {len(tests) - len(done)} of {len(tests)} files are left to a later run")
    covered = Covered.sum(parts)
    units = by_unit(covered.points)
    (FOLDER / "index.html").write_text(page(covered, done, sources), encoding="utf-8")
    text = table(units)
    lines = [f"Sources {sources}; tests: {', '.join(done)}.", "", text, ""]
    bins = counted(covered.jobs)
    for cross, counts in bins.items():
        empty = [" ".join(place) for place in CROSSES[cross] if not counts[place]]
        lines.append(f"{' × '.join(cross)}: {len(counts)} of {len(CROSSES[cross])} bins"
                     + (f"; none of: {'; '.join(empty)}" if empty else ""))
    lines += ["", *(f"- {file}:{line} {what} {bits}{f' ({why})' if why else ''}"
                    for unit in units for file, line, what, bits, why in missed_lines(unit.missed))]
    (FOLDER / "report.md").write_text("\n".join(lines) + "\n")
    (FOLDER / "report.json").write_text(json.dumps({
        "sources": sources, "tests": done, "jobs": len(covered.jobs),
        "units": [{"unit": u.name, "branches": u.line.all, "branches_reached": u.line.reached,
                   "branches_excused": u.line.excused, "toggles": u.toggle.all, "toggles_reached": u.toggle.reached,
                   "toggles_excused": u.toggle.excused} for u in units],
        "bins": {" × ".join(cross): {"all": len(CROSSES[cross]), "reached": len(n)} for cross, n in bins.items()},
    }, indent=1))
    print(text)
    for cross, counts in bins.items():
        print(f"{' × '.join(cross)}: {len(counts)} of {len(CROSSES[cross])} bins")
    print(f"page: {FOLDER / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
