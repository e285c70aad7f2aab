"""What training depends on, and where its weights are kept: under a hash of text, architecture and settings."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from spatten_hw.sim.harness.kept import build_dir

from .architecture import Architecture
from .corpus import held_out_text, split_documents


@dataclass(frozen=True)
class TrainingSettings:
    """What training depends on beside text and architecture. `batch`: windows per step; half of them are from the
    language reference. Rates: of matrices inside blocks, and of all else; `warm_up`, `cool_down`: parts of the steps
    over which rates rise from and fall to 0."""

    steps: int = 700
    batch: int = 16
    seed: int = 1
    matrix_rate: float = 0.02
    rate: float = 3e-3
    warm_up: float = 0.03
    cool_down: float = 0.6
    calibration_windows: int = 64


def weights_path(architecture: Architecture | None = None, settings: TrainingSettings | None = None) -> Path:
    """Where the weights of these settings are kept. The version of Python stands for the docstrings it brings."""
    digest = hashlib.sha256(held_out_text().encode())
    digest.update(json.dumps([split_documents(), platform.python_version(), asdict(architecture or Architecture()),
                              asdict(settings or TrainingSettings())]).encode())
    return build_dir() / "gpt" / f"{digest.hexdigest()[:16]}.npz"
