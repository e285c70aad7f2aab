"""Disks without room, for tests, without a disk and without privileges."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest


@contextlib.contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Within, this process (and what it starts) can write no file beyond `size` bytes: `write` fails as on a full disk,
    but for the reason that it gives, and what has been written so far is there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full(monkeypatch: pytest.MonkeyPatch, place: Path, real=os.statvfs) -> None:
    """The file system says that it has no room if it is asked with a path in `place`, which must exist."""
    monkeypatch.setattr("spatten_hw.output.file_system", lambda path: path if path.is_relative_to(place) else Path("/"))

    def answer(path):
        if Path(path).is_relative_to(place):
            return SimpleNamespace(f_bavail=3, f_frsize=4096, f_files=0, f_favail=0)
        return SimpleNamespace(f_bavail=1 << 30, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", answer)


def files(folder: Path) -> list[str]:
    """All that is in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
