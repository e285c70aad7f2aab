"""PyTorch checkpoints without PyTorch: a zip archive of a pickle, which says what is where, and of raw numbers.

Served are dense tensors of float32 and bfloat16; what the pickle may name is a short list (`pickles.py`).
"""

from __future__ import annotations

import math
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from .pickles import Restricted


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The table that was saved, its tensors as float32 arrays. Raises `OSError`, `zipfile.BadZipFile` and those of
    `pickles.DAMAGED`."""
    with zipfile.ZipFile(path) as archive:
        name = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
        if name is None:
            raise ValueError("it has no data.pkl, so it is no PyTorch checkpoint")
        folder = name.removesuffix("data.pkl")
        if archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are not little-endian")

        def stored(pid: tuple) -> np.ndarray:
            """The numbers behind ("storage", kind, file, device, count)."""
            _, kind, file, _, count = pid
            numbers = _NUMBERS[kind](archive.read(f"{folder}data/{file}"))
            if len(numbers) != count:
                raise ValueError(f"its data/{file} has {len(numbers)} numbers, not {count}")
            return numbers

        with archive.open(name) as file:
            table = Restricted(file, _KNOWN, stored).load()
    if not isinstance(table, dict):
        raise ValueError("it holds no table")
    return table


def widened(data: bytes) -> np.ndarray:
    """float32 of bfloat16, which is its upper half."""
    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


def _float32(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<f4")


_NUMBERS = {"FloatStorage": _float32, "BFloat16Storage": widened}


def _tensor(numbers: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
            ) -> np.ndarray:
    """`torch._utils._rebuild_tensor_v2` of rows that lie one behind the other."""
    if strides != tuple(math.prod(shape[i + 1:]) for i in range(len(shape))):
        raise ValueError(f"a tensor of the shape {shape} has strides {strides}, which are not served")
    return numbers[offset:offset + math.prod(shape)].reshape(shape)


_KNOWN: dict[tuple[str, str], object] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor, ("collections", "OrderedDict"): OrderedDict,
    **{("torch", kind): kind for kind in _NUMBERS}}
