"""Paths that make and the shell take as they are.

Makefiles cannot name files in folders with a space, and Verilator's are no exception. What lies in such a folder is
reached through a link, and what is built in one is built elsewhere and moved there.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

from spatten_hw.errors import UserError

#: Letters of any alphabet, digits, and marks that mean nothing to make, to the shell or in a list of search paths.
_PLAIN = re.compile(r"[\w/.,+@-]*")


def is_plain(path: Path) -> bool:
    """Whether make and the shell take the absolute path of `path` as it is."""
    return _PLAIN.fullmatch(os.path.abspath(path)) is not None


def plain_temporary(path: Path) -> Path:
    """A folder for temporary files whose path is plain, in place of `path`, whose is not. Raises `UserError`."""
    for folder in dict.fromkeys((Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))):
        if is_plain(folder) and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise UserError(f"{path}: make cannot use a path with a space or a special character, and no folder for temporary "
                    "files is without; set TMPDIR to one that is")


def plain(path: Path) -> Path:
    """`path` if it is plain, else a link to it that is, for the life of this process. Raises `UserError`."""
    return path if is_plain(path) else _link(Path(os.path.abspath(path)))


@cache
def _link(path: Path) -> Path:
    # A folder of its own, which nobody else can put anything into.
    folder = Path(tempfile.mkdtemp(prefix="spatten-hw-", dir=plain_temporary(path)))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = folder / "link"
    link.symlink_to(path, target_is_directory=True)
    return link
