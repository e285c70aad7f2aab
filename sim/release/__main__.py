"""`python -m spatten_hw.sim.release bench | write | check | commands`: figures of the docs measured, written, held
against the Verilog; the commands that the docs name."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.source_tree import repository

from .benches import PLAN, measure, runs
from .commands import documented, example_file, parse, run
from .pages import faults, write

ROOT = repository()


def pages() -> list[Path]:
    """The pages that hold figures and commands."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main(argv: list[str] | None = None) -> int:
    """0; 1: a bench failed or a page is wrong; 2: the call is."""
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.sim.release", description=__doc__)
    parser.add_argument("action", choices=("bench", "write", "check", "commands"),
                        help="bench: measure what has no figures of the present Verilog, then write; write: tables of "
                        "docs/ from what is measured; check: digests, marks of missed targets, whether documented "
                        "commands are understood; commands: run those that take minutes")
    parser.add_argument("--preset", action="append", choices=tuple(PLAN), help="only this one; repeatable")
    parser.add_argument("--workload", type=Path, metavar="FILE.csv", help="requests for preset full, too")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="of the measured JSON files")
    args = parser.parse_args(argv)
    if args.workload is not None and not args.workload.is_file():
        return _refuse(f"{args.workload}: there is no such file")
    try:
        if args.action == "commands":
            return _commands()
        return _check() if args.action == "check" else _figures(args)
    except UserError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on here", file=sys.stderr)
        return 130


def _figures(args: argparse.Namespace) -> int:
    wanted = list(runs(args.preset or list(PLAN), args.workload))
    failed = []
    if args.action == "bench":
        failed = measure(wanted, args.folder, lambda text: print(text, file=sys.stderr, flush=True))
    written = write(pages(), wanted, args.folder)
    print(f"{len(written)} tables written: {', '.join(written) or 'none has been measured on the present Verilog'}")
    print("".join(f"FAILED {bench.command}\n" for bench in failed), end="")
    return 1 if failed else 0


def _check() -> int:
    found = [fault for page in pages() for fault in faults(page)]
    count = 0
    for page in pages():
        for command in documented(page):
            count += 1
            try:
                parse(command)
            except ValueError as error:
                found.append(str(error))
    print("\n".join(found))
    print(f"{count} documented commands, {len(found)} faults")
    return 1 if found else 0


def _commands() -> int:
    failed, parsed = [], 0
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(ROOT / "examples", Path(name) / "examples")
        for command in dict.fromkeys(c for page in pages() for c in documented(page)):
            for word in command.words:
                if word.endswith(".npz") and "--out" not in command.words[command.words.index(word) - 1]:
                    example_file(Path(name) / word)
            code = run(command, Path(name))
            if code is None:
                parsed += 1
                continue
            print(f"exit {code}  {command.text}", flush=True)
            if code:
                failed.append(command)
    print(f"{parsed} commands that take longer were not run; {len(failed)} failed")
    return 1 if failed else 0


def _refuse(message: str) -> int:
    print(f"spatten_hw.sim.release: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
