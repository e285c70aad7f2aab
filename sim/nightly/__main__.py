"""python -m spatten_hw.sim.nightly TARGET…: makes targets of the Makefile in turn and writes what came of them.

To build/nightly: a log per target, index.md and index.html. A target that fails does not stop the others. Stopped and
called again, it goes on behind the last target that passed, until a source changes.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from spatten_hw.sim.harness.kept import write_atomically

from . import page
from .steps import ROOT, Night


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 0, 1 if a target failed, 2 for what the Makefile has not."""
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.nightly", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="of the Makefile, in this order")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "nightly", metavar="DIR",
                        help="where logs and page go (default build/nightly)")
    parser.add_argument("--again", action="store_true", help="make what has passed, too")
    args = parser.parse_args(argv)
    known = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    if unknown := [t for t in args.targets if t not in known]:
        print(f"error: the Makefile has no target {', '.join(unknown)}; see make help", file=sys.stderr)
        return 2
    try:
        return run(Night(args.output), args.targets, args.again)
    except OSError as error:
        print(f"error: {args.output}: {error.strerror}; choose another folder with -o", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


def run(night: Night, targets: list[str], again: bool) -> int:
    """Makes what is left of `targets`, the page after each; 0, or 1 if one has failed."""
    left = targets if again else night.left(targets)
    for done in (t for t in targets if t not in left):
        print(f"make {done}: passed before")
    for number, target in enumerate(left, 1):
        print(f"[{number}/{len(left)}] make {target}, log {night.log(target)}", flush=True)
        step = night.make(target)
        print(f"  {'passed' if step.passed else 'FAILED'} in {page.duration(step.seconds)}", flush=True)
        write(night, targets)
    write(night, targets)
    print(f"figures: {night.folder / 'index.html'}")
    return 1 if night.left(targets) else 0


def write(night: Night, targets: list[str]) -> None:
    """The page of what is known so far."""
    for name, text in (("index.md", page.markdown), ("index.html", page.page)):
        write_atomically(night.folder / name, text(targets, night.steps, night.digest))


if __name__ == "__main__":
    sys.exit(main())
