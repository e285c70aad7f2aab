"""Files that commands write: each is whole or absent, and a failure is reported in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .errors import UserError

#: The file system has no room (left), or not for this user or a file of this size.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Bytes below which a file system counts as full.
LITTLE_ROOM = 1 << 20


def file_system(place: Path) -> Path:
    """Where the file system of `place` is mounted; `place` need not exist."""
    path = Path(os.path.abspath(place))
    while not path.exists():
        path = path.parent
    path = path.resolve()
    while not os.path.ismount(path):
        path = path.parent
    return path


def full_file_system(*places: Path) -> Path | None:
    """The first of `places` whose file system is full or almost full: a tool that has failed for lack of room has
    often removed its unfinished files."""
    for place in places:
        try:
            room = os.statvfs(file_system(place))
        except OSError:
            continue
        # Some file systems do not count files.
        if room.f_bavail * room.f_frsize < LITTLE_ROOM or (room.f_files and not room.f_favail):
            return place
    return None


def cannot_write(place: Path, error: OSError, remedy: str = "write elsewhere") -> str:
    """One line for an error of writing to `place`, a file or folder: which file system is full, or what else it is."""
    if error.errno not in NO_ROOM or error.errno == errno.EFBIG:
        return f"{place}: cannot be written ({error.strerror or error}); {remedy}"
    mount = file_system(place)
    try:
        room = f"{shutil.disk_usage(mount).free / 1e6:,.1f} MB free"
    except OSError:
        room = "unknown room"
    return (f"{place}: cannot be written ({error.strerror}: the file system {mount} has {room}); make room there or "
            f"{remedy}")


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Within this context, an `OSError` becomes a `UserError` of one line about `place`. (`write` raises it without a
    file name.)"""
    try:
        yield
    except OSError as error:
        raise UserError(cannot_write(place, error)) from error


@contextlib.contextmanager
def new_folders(folder: Path) -> Iterator[None]:
    """Makes `folder` and its parents where missing. If the context fails, removes those that it made, unless they hold
    something. Raises `OSError`."""
    made: list[Path] = []
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            made.append(path)
        folder.mkdir(exist_ok=True)  # complains if it is a file
        yield
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def check_folder(folder: Path, below: Sequence[str] = (), files: Sequence[str] = ()) -> None:
    """Refuses a folder that could not be written, before any work. `below`: folders that will be in it, `files`: files.
    Raises `UserError`."""
    for place in (folder, *(folder / name for name in below)):
        if place.exists() and not place.is_dir():
            raise UserError(f"{place}: is not a folder; give another -o DIR")
    for place in (folder / name for name in files):
        if place.is_dir():
            raise UserError(f"{place}: is a folder, a file is to be written there; give another -o DIR")
        if place.exists() and not place.is_file():
            raise UserError(f"{place}: is not a regular file; give another -o DIR")
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot be written ({existing} is not a writable folder)")


def check_targets(targets: Sequence[Path], source: Path | None = None) -> None:
    """Refuses files that could not be written, before anything is computed. `source`: what is read. Raises
    `UserError`."""
    for path in targets:
        if not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}; create it first")
        if path.is_dir():
            raise UserError(f"{path}: is a folder; give a file name")
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: is not a regular file; give the name of one")
        if source is not None and path.resolve() == source.resolve():
            raise UserError(f"{path}: is the workload itself; choose another output")
        try:
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise UserError(cannot_write(path.parent, error)) from None
    for n, path in enumerate(targets):
        if path.resolve() in {p.resolve() for p in targets[:n]}:
            raise UserError(f"{path}: is given for two outputs; choose different files")


def check_apart(option: str, path: Path, folder: Path) -> None:
    """Refuses a file of an option in the folder of results, where it could replace one of them. Raises `UserError`."""
    if path.resolve().parent == folder.resolve():
        raise UserError(f"{option} {path}: lies among the results in {folder} and could replace one of them; write it "
                        "elsewhere")


def write_all(contents: Sequence[tuple[Path, bytes]]) -> None:
    """Writes files so that each is whole or absent: temporary files first, renamed when all are complete. Raises
    `UserError`."""
    temporary: list[Path] = []
    try:
        for path, data in contents:
            with writing(path):
                handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
                temporary.append(Path(name))
                with os.fdopen(handle, "wb") as f:
                    f.write(data)
                # mkstemp's files are private; results are as readable as any new file.
                mask = os.umask(0)
                os.umask(mask)
                os.chmod(name, 0o666 & ~mask)
        for (path, _), complete in zip(contents, temporary, strict=True):
            with writing(path):
                os.replace(complete, path)
    finally:
        for t in temporary:
            t.unlink(missing_ok=True)
