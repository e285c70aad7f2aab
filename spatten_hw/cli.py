"""The command `spatten-hw`.

A command is a module with a function `register(subparsers)` that adds a parser and sets its default `handler` to a
function of the parsed arguments, which may return an exit code. What a command raises as `UserError`, `ConfigError` or
`OSError` becomes a line on stderr and exit code 2, as does a package that an extra would have installed; anything else
is a bug and keeps its traceback.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import __version__
from .config import ConfigError
from .errors import UserError
from .extras import missing
from .output import NO_ROOM, cannot_write
from .termination import ended_by_sigterm

PROG = "spatten-hw"
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
#: The commands, in the order of --help, and their modules.
COMMANDS = {
    "presets": "spatten_hw.commands.presets",
    "generate": "spatten_hw.commands.generate",
    "run": "spatten_hw.sim.commands.run",
    "demo": "spatten_hw.sim.commands.demo",
    "chat": "spatten_hw.sim.commands.chat",
    "generate-text": "spatten_hw.sim.commands.generate_text",
    "evaluate": "spatten_hw.sim.commands.evaluate",
    "bench": "spatten_hw.sim.commands.bench",
    "paper": "spatten_hw.sim.commands.paper",
    "sweep": "spatten_hw.sim.commands.sweep",
    "build": "spatten_hw.boards.command",
    "cache": "spatten_hw.sim.commands.cache",
}

DESCRIPTION = """\
Generator of the SpAtten sparse-attention accelerator: Verilog with AXI ports, its register map and C header,
a bit-exact model and a fast simulation of the same design."""

EXAMPLES = """\
examples:
  spatten-hw presets                              the builds there are
  spatten-hw generate --preset small -o build/    Verilog, register map, C header, manifest
  spatten-hw chat --prompt "Why is the sky blue?"  a language model with its attention in the generated RTL
  spatten-hw demo                                 a sentence encoder with its attention in the generated RTL
  spatten-hw COMMAND --help                       what a command takes, with examples"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        print(f"{PROG}: error: {message} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(EXIT_ERROR)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    command = ""
    try:
        arguments = _parser().parse_args(argv)
        command = arguments.handler.__module__
        with ended_by_sigterm():
            code = int(arguments.handler(arguments) or 0)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail("; ".join([str(error), *getattr(error, "__notes__", ())]))
    except ModuleNotFoundError as error:
        explained = missing(error, command)
        if explained is None:
            raise
        return _fail(str(explained))
    except ConfigError as error:
        count = len(error.violations)
        lines = [f"the configuration breaks {count} rule{'s' * (count > 1)}:", *error.violations]
        return _fail("\n  ".join(lines))
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe; keep Python from reporting it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:
            # Errors of writing a file carry its name (`output.writing`); those of `print` do not.
            if not _stdout_lost() and error.errno not in NO_ROOM:
                raise
            return _fail(f"the standard output, or a temporary file, cannot be written: {error.strerror}")
        return _fail(cannot_write(Path(error.filename), error) if error.errno in NO_ROOM
                     else f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _stdout_lost() -> bool:
    """Whether the standard output cannot be written (it is a file on a full disk). If so, its buffer is dropped, or
    Python would report it once more at exit."""
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
    for name, module in COMMANDS.items():
        try:
            register = importlib.import_module(module).register
        except ModuleNotFoundError as error:
            explained = missing(error, module)
            if explained is None:
                raise
            _register_missing(subparsers, name, explained)
        else:
            register(subparsers)
    return parser


def _register_missing(subparsers, name: str, error: UserError) -> None:
    """Registers a command that lacks a package: it reports this when it is called."""
    def explain(_: argparse.Namespace) -> int:
        raise UserError(f"'{name}': {error}")

    parser = subparsers.add_parser(name, help=f"not available: {error}".replace("%", "%%"), add_help=False,
                                   prefix_chars="\0")  # whatever follows is not looked at
    parser.add_argument("ignored", nargs=argparse.REMAINDER)
    parser.set_defaults(handler=explain)


if __name__ == "__main__":
    sys.exit(main())
