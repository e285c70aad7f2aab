"""The commands that the pages document: found in their code blocks, checked against the real parser, run."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatten_hw.cli import _parser

_LINE = re.compile(r"^ {4,}(?:\.venv/bin/)?spatten-hw (?P<rest>.*)$", re.MULTILINE)
_INLINE = re.compile(r"`spatten-hw (?P<rest>[^`]+)`")


@dataclass(frozen=True)
class Command:
    """A documented call of spatten-hw: page, line, arguments."""

    page: str
    line: int
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.page}:{self.line}: spatten-hw {shlex.join(self.words)}"


def documented(page: Path) -> Iterator[Command]:
    """Calls in the code blocks of a page, comments behind them left out, and whole ones in running text: those that
    have at least one option or file behind the command's name."""
    text = page.read_text(encoding="utf-8")
    joined = re.sub(r" \\\n\s*", " ", text)
    for match in [*_LINE.finditer(joined), *_INLINE.finditer(joined)]:
        inline = match.re is _INLINE
        words = tuple(shlex.split(match["rest"].replace("\n", " "), comments=not inline))
        placeholder = any(w.startswith("[") or "…" in w or w == "COMMAND" for w in words)
        if placeholder or (inline and not any("-" in w for w in words[1:])):
            continue
        yield Command(page.name, text[:match.start()].count("\n") + 1, words)


#: Commands that are run, not only parsed. The others train a model, place and route, or measure for an hour.
RUN = ("presets", "generate", "run", "demo", "sweep")
#: Commands that are run if they say so.
QUICK = {"paper": "--quick"}
#: Options that need what is not here: a board, a cluster, a file that a page shows.
ELSEWHERE = {"--port", "--scheduler", "--add"}


def run(command: Command, folder: Path) -> int | None:
    """The exit code of the command in `folder`, where the files it names are; None if it is not one of `RUN` or
    `QUICK`, or needs one of `ELSEWHERE`."""
    quick = QUICK.get(command.words[0]) in command.words
    if (command.words[0] not in RUN and not quick) or ELSEWHERE & {*command.words}:
        return None
    return subprocess.run([sys.executable, "-m", "spatten_hw.cli", *command.words], cwd=folder, check=False,
                          stdout=subprocess.DEVNULL).returncode


def example_file(path: Path, seed: int = 1) -> None:
    """A small workload as docs/workloads.md describes it, for calls that name a user's own."""
    rng = np.random.default_rng(seed)
    q, k, v = rng.normal(size=(3, 2, 4, 16, 32))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, q=q, k=k, v=v)


def parse(command: Command) -> argparse.Namespace:
    """The parsed arguments. ValueError with the parser's own words if the command does not know them."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return _parser().parse_args(list(command.words))
    except SystemExit as end:
        raise ValueError(f"{command.text}: {said.getvalue().strip()}") from end
