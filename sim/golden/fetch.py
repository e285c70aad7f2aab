"""What the fetcher reads and what it makes of it: beats on the bus, and rows at on-chip width."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.config import SpAttenConfig


def touched_beats(addr: ArrayLike, nbytes: ArrayLike, config: SpAttenConfig) -> np.ndarray:
    """Beats that hold `nbytes` ≥ 1 bytes from byte address `addr` on, elementwise. However words are cut into reads,
    each begins on a beat: cutting adds none."""
    a = np.asarray(addr, dtype=np.int64)
    last = a + np.asarray(nbytes, dtype=np.int64) - 1
    return last // config.beat_bytes - a // config.beat_bytes + 1


def msb_operands(msb: ArrayLike, lsb_bits: int, midpoint: bool) -> np.ndarray:
    """On-chip value of operands read from the MSB plane alone; `midpoint`: V's half MSB step."""
    step = 1 << (lsb_bits - 1) if midpoint and lsb_bits else 0
    return (np.asarray(msb, dtype=np.int64) << lsb_bits) + step
