"""Cycles of the quick-select engine by its lanes, measured on its Verilog; random keys of 12 bits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import spatten_hw.topk

#: Vectors of a case; the first ones, while the pipeline fills, do not count.
VECTORS = 64


def engine_sources() -> str:
    """A digest of the engines' sources: points of other ones are not taken for these."""
    folder = Path(spatten_hw.topk.__file__).parent
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))).hexdigest()[:12]


def measure(lanes: int, cases: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """{"n k": mean cycles from one vector to the next} of an engine with so many lanes. RuntimeError if the engine does
    not keep what the golden model keeps."""
    from spatten_hw.presets import PRESETS
    from spatten_hw.sim.bench.topk_engine import Engine

    engine = Engine("quickselect", PRESETS["full"], lanes, 1024)
    rng = np.random.default_rng(1)
    found: dict[str, Any] = {}
    for n, k in cases:
        row = engine.measure(f"n={n} k={k}", "random", [(rng.integers(0, 4096, n), k) for _ in range(VECTORS)])
        if row.mismatches:
            raise RuntimeError(row.mismatches[0])
        found[f"{n} {k}"] = row.cycles
    return found
