"""The steps of a night: targets of the Makefile, each with its log, and what is known of them after a stop."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from spatten_hw.sim.harness.kept import write_atomically
from spatten_hw.source_tree import repository

ROOT = repository()
#: What a step's result depends on. Not the documents: `make bench` writes its tables into them.
SOURCES = ("spatten_hw", "sim", "boards", "tests")
#: Lines that say what came of a step, if the last one does not.
_RESULT = re.compile(r"\d+ (?:passed|failed)|[Ee]rror|equal to the golden model|DIFFER|killed|configurations")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Step:
    """A target that has been made: exit code, seconds, and the lines of its log that say what came of it."""

    target: str
    code: int
    seconds: float
    result: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.code == 0


class Night:
    """What is known, in `folder`; forgotten when a source has changed."""

    def __init__(self, folder: Path, root: Path = ROOT):
        self.folder, self.root = folder, root
        self.digest = digest(root)
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "steps.json"
        self.steps = self._read()

    def _read(self) -> dict[str, Step]:
        try:
            known = json.loads(self._file.read_text())
            if known["sources"] != self.digest:
                return {}
            return {s["target"]: Step(**(s | {"result": tuple(s["result"])})) for s in known["steps"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def left(self, targets: Sequence[str]) -> list[str]:
        """What is still to be made: all that has not passed."""
        return [t for t in targets if t not in self.steps or not self.steps[t].passed]

    def log(self, target: str) -> Path:
        return self.folder / f"{target}.log"

    def make(self, target: str) -> Step:
        """Makes a target, its output in its log, and keeps what came of it."""
        start = time.monotonic()
        log = self.log(target)
        with log.open("w") as out:
            process = subprocess.Popen(["make", "--no-print-directory", target], cwd=self.root, stdout=out,
                                       stderr=subprocess.STDOUT, env={**os.environ, "MAKEFLAGS": ""})
            try:
                code = process.wait()
            finally:
                # Stopped: the step, which goes on where it was, is given the time to write down where that is.
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        step = Step(target, code, time.monotonic() - start, tuple(results(log.read_text(errors="replace"))))
        self.steps[target] = step
        write_atomically(self._file, json.dumps({"sources": self.digest,
                                                 "steps": [asdict(s) for s in self.steps.values()]}, indent=1))
        return step


def results(log: str, most: int = 6) -> list[str]:
    """The last lines of a log that say what came of it, and its very last one."""
    lines = [line.strip() for line in _COLOUR.sub("", log).splitlines() if line.strip()]
    found = [line for line in lines[:-1] if _RESULT.search(line)][1 - most:]
    return [line[:200] for line in [*found, *lines[-1:]]]


def digest(root: Path) -> str:
    """Of all sources."""
    found = hashlib.sha256()
    for path in (*(p for name in SOURCES for p in sorted((root / name).rglob("*"))), root / "Makefile",
                 root / "pyproject.toml"):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]
