"""The command `spatten-hw`.

A command is a function `register(subparsers)` that adds a parser and sets its default `handler` to a function of
the parsed arguments, which may return an exit code. `presets` and `generate` are here; others come from the
entry-point group `spatten_hw.commands`. What a command raises as `UserError`, `ConfigError` or `OSError` becomes
a line on stderr and exit code 2; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import __version__
from .config import PROB_BITS, ConfigError, SpAttenConfig
from .config_cli import add_config_arguments, config_from_args
from .errors import UserError
from .output import NO_ROOM, cannot_write
from .presets import PRESETS
from .termination import ended_by_sigterm

PROG = "spatten-hw"
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
GROUP = "spatten_hw.commands"

DESCRIPTION = """\
Generator of the SpAtten sparse-attention accelerator: Verilog with AXI ports, its register map and C header,
a bit-exact model and a fast simulation of the same design."""

EXAMPLES = """\
examples:
  spatten-hw presets                              the builds there are
  spatten-hw generate --preset small -o build/    Verilog, register map, C header, manifest
  spatten-hw demo                                 a sentence encoder with its attention in the generated RTL
  spatten-hw COMMAND --help                       what a command takes, with examples"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        print(f"{PROG}: error: {message} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(EXIT_ERROR)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        with ended_by_sigterm():
            code = int(arguments.handler(arguments) or 0)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail("; ".join([str(error), *getattr(error, "__notes__", ())]))
    except ConfigError as error:
        count = len(error.violations)
        lines = [f"the configuration breaks {count} rule{'s' * (count > 1)}:", *error.violations]
        return _fail("\n  ".join(lines))
    except BrokenPipeError:
        # The reader (head, less) has left; keep Python from complaining once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:
            # What writes files names them (`output.writing`); `print` does not.
            if not _stdout_lost() and error.errno not in NO_ROOM:
                raise
            return _fail(f"the standard output, or a temporary file, cannot be written: {error.strerror}")
        return _fail(cannot_write(Path(error.filename), error) if error.errno in NO_ROOM
                     else f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _stdout_lost() -> bool:
    """Whether the standard output cannot be written (it is a file on a full disk); if so, what it holds is dropped, or
    Python would complain of it once more at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _fail(message: str) -> int:
    print(f"{PROG}: error: {message}", file=sys.stderr)
    return EXIT_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROG, description=DESCRIPTION, epilog=EXAMPLES,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _register_presets(subparsers)
    _register_generate(subparsers)
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: p.name):
        try:
            register = point.load()
        except ImportError as error:
            _register_missing(subparsers, point.name, error)
        else:
            register(subparsers)
    return parser


def _register_missing(subparsers, name: str, error: ImportError) -> None:
    """A command whose code cannot be imported still says so when it is called."""
    def explain(_: argparse.Namespace) -> int:
        raise UserError(f"'{name}' cannot be loaded: {error}; install with: pip install 'spatten-hw[sim,demo]'")

    parser = subparsers.add_parser(name, help=f"not available: {error}", add_help=False,
                                   prefix_chars="\0")  # whatever follows is not looked at
    parser.add_argument("ignored", nargs=argparse.REMAINDER)
    parser.set_defaults(handler=explain)


# -- presets -----------------------------------------------------------------------------------------------------

def _register_presets(subparsers) -> None:
    parser = subparsers.add_parser(
        "presets", help="table of the builds there are", description="The presets and what each of them holds.",
        epilog="Any field can be changed on top of a preset: see spatten-hw generate --help.")
    parser.add_argument("--json", action="store_true", help="every field and derived number, as JSON")
    parser.set_defaults(handler=_presets)


def summary(c: SpAttenConfig) -> dict[str, object]:
    """What a build holds, in numbers a user compares builds by."""
    return {
        "multipliers_per_array": c.multipliers,
        "dims": list(c.dims),
        "keys_per_cycle": {str(d): c.rows_per_cycle(d) for d in c.dims},
        "max_tokens": c.max_tokens,
        "channels": c.channels,
        "axi_data_bits": c.axi_data_bits,
        "peak_bytes_per_cycle": c.channels * c.beat_bytes,
        # Two halves of K and two of V.
        "kv_sram_bytes": 4 * c.sram_tokens * c.max_dim * c.operand_bits // 8,
        "topk_lanes": c.topk_lanes,
        "operand_bits": c.operand_bits,
        "prob_bits": PROB_BITS,
        "config_hash": f"{c.hash:08x}",
    }


def _presets(args: argparse.Namespace) -> None:
    if args.json:
        table = {name: {**c.fields, **summary(c)} for name, c in PRESETS.items()}
        print(json.dumps(table, indent=2))
        return
    rows = [["preset", "multipliers", "D", "keys/cycle", "tokens", "channels", "peak B/cycle", "K+V SRAM",
             "top-k lanes", "hash"]]
    for name, c in PRESETS.items():
        rows.append([
            name, f"2 x {c.multipliers}", "/".join(map(str, c.dims)),
            "/".join(str(c.rows_per_cycle(d)) for d in c.dims), str(c.max_tokens),
            f"{c.channels} x {c.axi_data_bits} bit", str(c.channels * c.beat_bytes),
            f"{4 * c.sram_tokens * c.max_dim * c.operand_bits // 8 / 1024:.0f} KB", str(c.topk_lanes), f"{c.hash:08x}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


# -- generate ----------------------------------------------------------------------------------------------------

def _register_generate(subparsers) -> None:
    parser = subparsers.add_parser(
        "generate", help="write Verilog, register map, C header and manifest",
        description="Writes one configuration: spatten.v, spatten_regs.h, the register map (registers.json, .rdl,\n"
                    ".md, .html) and manifest.json; with --package also files for other tools.\n"
                    "The same configuration gives the same bytes. Nothing is written if anything is wrong.",
        epilog="examples:\n"
               "  spatten-hw generate --preset small -o build/small\n"
               "  spatten-hw generate --preset full --set channels=8 --set max_tokens=2048 -o build/mine\n"
               "  spatten-hw generate --preset eighth --config mine.toml -o build/mine\n"
               "  spatten-hw generate --package vivado --package litex -o build/small",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder to write to; made if missing")
    parser.add_argument("--package", metavar="KIND", action="append", default=[], dest="packages",
                        help="also files for another tool: vivado, fusesoc, litex or ipxact; repeatable")
    parser.set_defaults(handler=_generate)


def _generate(args: argparse.Namespace) -> None:
    config = config_from_args(args)
    from .generate import generate  # the hardware description is slow to import and not needed for --help

    print(generate(config, args.output, args.packages).text())


if __name__ == "__main__":
    sys.exit(main())
