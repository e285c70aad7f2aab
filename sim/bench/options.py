"""What the benches of `spatten-hw bench` have in common on the command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from spatten_hw.commands.config import add_config_arguments
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.output import check_targets, write_all

from .digest import verilog_digest

#: Cycles from a read's address to its first data on perfect memory, where nothing else is asked for.
LATENCY = 8


def new_parser(subparsers: argparse._SubParsersAction, name: str, summary: str, description: str | None,
               epilog: str) -> argparse.ArgumentParser:
    """A parser for the bench `name`; its own arguments follow, then `finish_parser`."""
    return subparsers.add_parser(name, help=summary, description=description, epilog=epilog,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)


def finish_parser(parser: argparse.ArgumentParser, preset: str,
                  handler: Callable[[argparse.Namespace], int]) -> None:
    """Adds what every bench takes: --json (for `check_json` and `write_json`) and what chooses the build."""
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write everything measured as JSON")
    add_config_arguments(parser, preset)
    parser.set_defaults(handler=handler)


def add_seed_argument(parser: argparse.ArgumentParser) -> None:
    """Adds --seed."""
    parser.add_argument("--seed", type=at_least(0), default=1, metavar="S", help="of the random data (default 1)")


def add_case_arguments(parser: argparse.ArgumentParser, all_cases: str, workload: str) -> None:
    """Adds what chooses among cases of the whole accelerator; `all_cases`: what runs by default, `workload`: what a
    workload adds."""
    parser.add_argument("--case", action="append", metavar="NAME",
                        help=f"only this case; repeatable (default: {all_cases})")
    parser.add_argument("--list", action="store_true", help="list the cases of the preset and end")
    parser.add_argument("--quick", action="store_true", help="the same cases at sizes that take seconds, no targets")
    parser.add_argument("--heads", type=at_least(1), metavar="N",
                        help="heads of a layer (default 12); for a workload, most heads of a job")
    parser.add_argument("--workload", type=Path, metavar="FILE.csv", help=f"requests to run; adds {workload}")
    parser.add_argument("--limit", type=at_least(1), metavar="N", help="only the first N requests of the workload")
    parser.add_argument("--latency", type=at_least(1), default=LATENCY, metavar="N",
                        help=f"cycles from a read's address to its first data on perfect memory (default {LATENCY})")


def check_case_arguments(args: argparse.Namespace, config: SpAttenConfig) -> None:
    """Refuses what contradicts the build or itself."""
    check_json(args.json)
    if args.heads is not None and args.heads > config.max_heads:
        raise UserError(f"--heads {args.heads}: preset '{config.name}' takes at most max_heads = {config.max_heads}")
    if args.limit is not None and args.workload is None:
        raise UserError("--limit: is for requests; give --workload FILE.csv")


def check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuses a name that is none of those `known`; `what` it names: words of which the last takes an s."""
    allowed = list(known)
    for name in names:
        if name not in allowed:
            raise UserError(f"unknown {what} '{name}'; {what.split()[-1]}s: {', '.join(allowed)}")


def check_json(path: Path | None) -> None:
    """Refuses a file that cannot be written, before anything is measured."""
    if path is not None:
        check_targets([path])


def write_json(path: Path | None, report: dict[str, object], config: SpAttenConfig | None = None) -> None:
    """Writes `report`, and which Verilog it is of if `config` is given, whole or not at all."""
    if path is not None:
        measured_on = {} if config is None else {"verilog_digest": verilog_digest(config)}
        text = json.dumps(report | measured_on, indent=2)
        write_all([(path, f"{text}\n".encode())])


def at_least(least: int):
    """An argument type: a whole number from `least` on."""
    def count(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return value
    return count
