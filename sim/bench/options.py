"""What the benches of `spatten-hw bench` have in common on the command line."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from sim.commands.run import write_all
from spatten_hw.errors import UserError


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Adds --json; `check_json` and `write_json` read it."""
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write everything measured as JSON")


def check_json(path: Path | None) -> None:
    """Refuses a file that cannot be written, before anything is measured."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; create it first")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file name")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: the folder {path.parent} cannot be written; choose another")


def write_json(path: Path | None, report: object) -> None:
    """Writes `report`, whole or not at all."""
    if path is not None:
        write_all([(path, (json.dumps(report, indent=2) + "\n").encode())])


def at_least(least: int):
    """An argument type: a whole number from `least` on."""
    def count(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return value
    return count
