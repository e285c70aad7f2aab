"""Models that come as packages of others, whose files are used and whose code is not."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spatten_hw.errors import UserError


class Foreign(Exception):
    """A file that is whole and not what is served; one line that goes on behind its name."""


def packaged_file(package: str, end: str, pip: str, missing: str) -> Path:
    """The file of an installed package whose path ends in `end`. Raises `UserError`: `missing` if there is no such
    package; `pip`, the line that installs it, if it has no such file."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(missing) from None
    found = [Path(str(file.locate())) for file in files if file.as_posix().endswith(end)]
    if not found or not found[0].is_file():
        raise UserError(f"the package {package} has no file {end}: install it again: {pip}")
    return found[0]


def check_shapes(weights: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `Foreign` where weights are missing or have another shape."""
    for name, shape in shapes.items():
        if name not in weights:
            raise Foreign(f"the weights {name} are missing")
        if weights[name].shape != shape:
            raise Foreign(f"the weights {name} have the shape {weights[name].shape}, not {shape}")
