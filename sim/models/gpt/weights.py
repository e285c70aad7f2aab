"""Trained weights on disk: `gpt/KEY.npz` among built things, KEY a hash of text, architecture and settings."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sim.harness.build import build_dir
from spatten_hw.errors import UserError

from .corpus import held_out_text, split_documents
from .model import OPERANDS, Architecture, Gpt


@dataclass(frozen=True)
class TrainingSettings:
    """What training depends on beside text and architecture. `batch`: windows per step; half of them are from the
    language reference. Rates: of matrices inside blocks, and of all else; `warm_up`, `cool_down`: parts of the steps
    over which rates rise from and fall to 0."""

    steps: int = 600
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


def save_gpt(model: Gpt, path: Path) -> None:
    """Writes a model; the file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    meta = json.dumps({"architecture": asdict(model.architecture), **model.info})
    with part.open("wb") as file:
        np.savez(file, meta=np.array(meta), **{f"peaks.{name}": model.peaks[name] for name in OPERANDS},
                 **model.weights)  # type: ignore[arg-type]
    part.rename(path)


def load_gpt(path: Path | None = None) -> Gpt:
    """The model in `path`, by default the one that `make gpt` trains. Raises `UserError` if there is none."""
    at = weights_path() if path is None else Path(path)
    if path is None and not at.exists():
        raise UserError(f"there are no weights of the GPT ({at}): train it with `make gpt` "
                        "(python -m sim.models.gpt.train, a quarter of an hour)")
    try:
        with np.load(at, allow_pickle=False) as file:
            arrays = dict(file)
        info = json.loads(str(arrays.pop("meta")))
        architecture = Architecture(**info.pop("architecture"))
        peaks = {name: arrays.pop(f"peaks.{name}") for name in OPERANDS}
        if {name: x.shape for name, x in arrays.items()} != architecture.shapes():
            raise ValueError("its arrays are not those of its architecture")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{at}: no weights of the GPT ({error}); train it again with `make gpt`") from error
    return Gpt(architecture, arrays, peaks, info)
