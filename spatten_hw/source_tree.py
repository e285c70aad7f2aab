"""Where the project's sources are, and a digest of their text.

`spatten_hw.sim` and `spatten_hw.boards` are the folders `sim/` and `boards/` of a checkout (links in the package's
folder lead there), and ordinary folders of an installed package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

#: The folder of this package, as it is imported.
PACKAGE = Path(__file__).parent
#: Its folders that describe no hardware of the accelerator.
_AROUND = ("sim", "boards")


@cache
def checkout() -> Path | None:
    """The folder of the source checkout that this package is run from; None: it is installed."""
    root = PACKAGE.resolve().parent
    return root if (root / "pyproject.toml").is_file() and (root / "tests").is_dir() else None


def repository() -> Path:
    """`checkout`, for tools of development. RuntimeError if there is none."""
    root = checkout()
    if root is None:
        raise RuntimeError(f"{PACKAGE}: tools of development work in a checkout only")
    return root


def generator_sources() -> Iterator[Path]:
    """The Python files that the Verilog of a configuration follows from, in a fixed order."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in _AROUND:
            yield path


def sources_digest(more: Iterable[Path] = (), text: str = "") -> str:
    """SHA-256 (hexadecimal) of the generator's sources, of `more` files (by name and content) and of `text`."""
    digest = hashlib.sha256(text.encode())
    for path in generator_sources():
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode() + path.read_bytes())
    for path in more:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()
