"""Results on disk as they come: a line of JSON per finished point, so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.output import writing

from .point import Point

#: Raised when results of the same points would change, so that old ones are not taken for them.
REVISION = 2


def key_of(point: Point, config: SpAttenConfig, data: str) -> str:
    """What a result depends on: the point, the build and `data`, a hash of model and text."""
    text = json.dumps([REVISION, point.fields, config.hash, data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Store:
    """The file `path`, one `{"key", "result"}` per line. A line that a killed run left half-written is ignored."""

    def __init__(self, path: Path):
        self.path = path
        self.results: dict[str, dict] = {}
        if not path.exists():
            return
        for line in path.read_bytes().splitlines():
            try:
                entry = json.loads(line)
                self.results[entry["key"]] = entry["result"]
            except (ValueError, KeyError, TypeError):
                continue

    def put(self, key: str, result: dict) -> None:
        """Adds a result; it is on disk when this returns."""
        self.results[key] = result
        with writing(self.path), self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                # Half a line from a run that was killed: what follows begins a line of its own.
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps({"key": key, "result": result}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
