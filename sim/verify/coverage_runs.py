"""Runs a test file with coverage and keeps what it covered: one JSON a file of tests, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatten_hw import source_tree
from spatten_hw.errors import UserError
from spatten_hw.sim.harness.kept import library_dir
from spatten_hw.sim.harness.variant import COVERAGE

from .cover_points import Point, design, points_of
from .sites import ROOT


@dataclass(frozen=True)
class Covered:
    """What tests covered: every point that their designs have → whether it was, and the jobs they ran (the lines of
    `sim/harness/job_log.py`, each once)."""

    points: dict[Point, bool]
    jobs: list[dict[str, Any]]

    @classmethod
    def sum(cls, parts: list[Covered]) -> Covered:
        """A point is covered if a part covers it."""
        points: dict[Point, bool] = {}
        for part in parts:
            for point, covered in part.points.items():
                points[point] = covered or points.get(point, False)
        return cls(points, [job for part in parts for job in part.jobs])


def sources_digest() -> str:
    """Of what a test file's coverage depends on besides the file itself."""
    harness = [path for folder in ("sim/harness", "sim/testbench") for path in sorted((ROOT / folder).rglob("*"))
               if path.suffix in (".py", ".cpp", ".h")]
    return source_tree.sources_digest([*harness, Path(__file__).with_name("cover_points.py")])[:16]


def kept_file(folder: Path, test: str, sources: str) -> Path:
    """Where the coverage of a test file (pytest id) is kept."""
    digest = hashlib.sha256(f"{sources} {test}".encode() + (ROOT / test.split("::")[0]).read_bytes()).hexdigest()[:16]
    return folder / f"{Path(test.split('::')[0]).stem}-{digest}.json"


def run(test: str, folder: Path, sources: str) -> Covered:
    """What a test file covers; runs it unless that is known. Raises `UserError` if a test fails."""
    kept = kept_file(folder, test, sources)
    if kept.exists():
        return _read(kept)
    work = folder / "now"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    env = os.environ | {COVERAGE: str(work), "PYTHONPATH": str(ROOT)}
    log = folder / "last-run.log"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout", "3600", test]
    with log.open("w") as out:
        code = subprocess.run(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise UserError(f"{test}: pytest ended with code {code}, so its coverage tells nothing; see {log}")
    covered = _collected(work)
    points: dict[str, list[str]] = {"0": [], "1": []}
    for point, yes in covered.points.items():
        points[str(int(yes))].append(point.text)
    part = kept.with_suffix(".part")
    part.write_text(json.dumps({"test": test, "points": points, "jobs": covered.jobs}))
    part.rename(kept)
    shutil.rmtree(work)
    return covered


def _read(kept: Path) -> Covered:
    read = json.loads(kept.read_text())
    return Covered({Point.of(text): yes == "1" for yes, texts in read["points"].items() for text in texts},
                   read["jobs"])


def _collected(work: Path) -> Covered:
    """The points and jobs that the simulations left in a folder."""
    points: dict[Point, bool] = defaultdict(bool)
    for path in sorted(work.glob("*.dat")):
        of = design(library_dir() / f"coverage-{path.name.split('-')[0]}.v")
        for point, covered in points_of(path.read_text(errors="replace"), of):
            points[point] |= covered
    lines = {line for path in work.glob("jobs-*.jsonl") for line in path.read_text().splitlines()}
    return Covered(dict(points), [json.loads(line) for line in sorted(lines)])
