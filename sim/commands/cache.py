"""`spatten-hw cache`: what has been built and kept, how large it is; and its removal."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from spatten_hw.commands.presets import print_columns
from spatten_hw.sim.harness.cache import KINDS, PRECIOUS, clear, entries
from spatten_hw.sim.harness.kept import build_place

_DAY = 86_400


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "cache", help="what is kept of builds: list, measure, clear",
        description="Compiled simulations, test benches and synthesised blocks are kept and used again. They lie in\n"
                    "$SPATTEN_BUILD, else in .build/ of a source checkout, else in the user's cache folder.",
        epilog="examples:\n"
               "  spatten-hw cache                       kinds, numbers, sizes\n"
               "  spatten-hw cache --clear               all but trained models; they take a quarter of an hour\n"
               "  spatten-hw cache --clear leftovers     only what failed and killed builds have left",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clear", nargs="*", metavar="KIND", choices=KINDS,
                        help=f"remove it: {', '.join(KINDS)} (none named: all but {', '.join(PRECIOUS)})")
    parser.add_argument("--json", action="store_true", help="what there is (with --clear: what was removed), as JSON")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> None:
    """Prints what there is, or removes it."""
    busy: list[Path] = []
    if args.clear is None:
        found = entries()
    else:
        found, busy = clear(args.clear or [kind for kind in KINDS if kind not in PRECIOUS])
    kinds = {kind: [entry for entry in found if entry.kind == kind] for kind in KINDS}
    if args.json:
        print(json.dumps({
            "folder": str(build_place()), "cleared": args.clear is not None, "in_use": [str(path) for path in busy],
            "kinds": {kind: {"entries": len(part), "bytes": sum(e.size for e in part)}
                      for kind, part in kinds.items()}}, indent=2))
        return
    print(f"{build_place()}{': removed' if args.clear is not None else ''}")
    rows = [["kind", "entries", "MB", "oldest, days"]]
    for kind, part in [*kinds.items(), ("all", found)]:
        age = f"{(time.time() - min(e.time for e in part)) / _DAY:.1f}" if part else "-"
        rows.append([kind, str(len(part)), f"{sum(e.size for e in part) / 1e6:.1f}", age])
    print_columns(rows)
    for path in busy:
        print(f"{path}: is being built, and stays")
