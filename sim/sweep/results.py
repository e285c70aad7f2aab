"""What tasks have found, on disk as it comes, so that a sweep that was stopped goes on where it was."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.output import writing
from spatten_hw.sim.evaluate.store import Store
from spatten_hw.sim.harness.kept import locked

from .task import FAILED

#: The file in a sweep's folder.
FILE = "points.jsonl"


class Results(Store):
    """The results of a folder's sweeps, by the keys of their tasks. Unlike its base class it refuses a file that holds
    anything else: it is appended to. What a killed run left half-written at its end is cut off."""

    def __init__(self, path: Path):
        lines = _whole_lines(path) if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                good = isinstance(entry["key"], str) and {"status", "reason", "metrics"} <= set(entry["result"])
            except (ValueError, KeyError, TypeError):
                good = False
            if not good:
                raise UserError(f"{path}, line {number}: is no result of a sweep; remove the file, or choose another "
                                "folder with -o")
        super().__init__(path)

    def settled(self, key: str) -> bool:
        """Whether there is a result that stays: what has failed is tried again."""
        return key in self.results and self.results[key]["status"] != FAILED


def _whole_lines(path: Path) -> list[bytes]:
    """The lines that end, the rest cut off the file."""
    with writing(path):
        data = path.read_bytes()
        end = data.rfind(b"\n") + 1
        # Half a line of ours begins like one; anything else is not ours to cut.
        if end < len(data) and data[end:end + 8] == b'{"key": '[:len(data) - end]:
            os.truncate(path, end)
            data = data[:end]
    return data.splitlines()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Within, no other sweep writes to this folder. Raises `UserError` if one does."""
    try:
        with locked(folder / ".lock", block=False):
            yield
    except BlockingIOError:
        raise UserError(f"{folder}: another sweep is writing here; wait for it, or choose another folder with -o"
                        ) from None
