"""What a difference leaves behind: all that is needed to see it again, with the soak or without.

A folder per seed: `config.toml`, per case `NAME.json` (memory, jobs, what differs) and `NAME-N.npz`, the workloads,
which `spatten-hw run` takes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig

from .session import Case


def save_config(folder: Path, seed: int, fields: dict[str, object], why: str) -> Path:
    """Writes config.toml and what happened; returns the folder of the seed."""
    folder = folder / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items() if value is not None]
    (folder / "config.toml").write_text("\n".join(lines) + "\n")
    (folder / "why.txt").write_text(f"python -m spatten_hw.sim.soak --config {seed}\n\n{why}\n")
    return folder


def save_case(folder: Path, config: SpAttenConfig, case: Case, wrong: list[str], alone: list[str]) -> str:
    """Writes a case; `alone`: what differs if it runs in a simulation of its own. Returns the JSON's path."""
    stem = case.name.replace(" ", "-")
    for number, (arrays, job) in enumerate(zip(case.arrays, case.jobs, strict=True), 1):
        contents: dict[str, Any] = {**arrays, "job": json.dumps(job)}
        np.savez(folder / f"{stem}-{number}.npz", **contents)
    path = folder / f"{stem}.json"
    path.write_text(json.dumps({
        "case": case.name, "config": config.fields, "differences": wrong, "alone": alone, "memory": vars(case.memory),
        "jobs": case.jobs, "features": sorted(name for name, n in case.features.items() if n),
        "passes": [{"name": p.name, "loads_from": source, **p.job.fields}
                   for p, source in zip(case.sequences.passes, case.sequences.source, strict=True)],
    }, indent=1))
    return str(path)
