"""`python -m spatten_hw.sim.paper write | check`: the tables of docs/paper.md from the points of build/paper; are they
what the models say now?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.output import write_all
from spatten_hw.sim.evaluate.store import Store
from spatten_hw.source_tree import repository

from .docs import SIMULATED, faults, fill
from .evaluation import evaluate
from .study import Study

ROOT = repository()


def main(argv: list[str] | None = None) -> int:
    """0; 1: the page is not up to date; 2: the call is wrong, or points are missing."""
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.paper", description=__doc__)
    parser.add_argument("action", choices=("write", "check"))
    parser.add_argument("--points", type=Path, default=ROOT / "build" / "paper" / "points.jsonl",
                        help="of `spatten-hw paper`")
    args = parser.parse_args(argv)
    path = ROOT / "docs" / "paper.md"
    page = path.read_text(encoding="utf-8")
    if args.action == "check":
        found = list(faults(page))
        print("\n".join([*found, f"{len(found)} faults"]))
        return 1 if found else 0
    try:
        if not args.points.is_file():
            raise UserError(f"{args.points}: there is no such file; run spatten-hw paper first, or give --points")
        sections = evaluate(Study(Store(args.points), simulate=False))
        if any(row.ours is None for s in sections if s.name in SIMULATED for row in s.rows):
            raise UserError(f"{args.points}: does not hold what is simulated; run spatten-hw paper first")
        write_all([(path, fill(page, sections).encode())])
    except UserError as error:
        print(f"spatten_hw.sim.paper: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
