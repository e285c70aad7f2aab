"""Steps in which a row goes from its buffer into a slice (`fetch/row_steps.py`): at most a beat each, and at least one
for a chunk. What a chunk needs of a beat that an earlier one has brought is still there, a beat for every plane of
bits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.rows import BIT_PLANES, nibble_align


@lru_cache(maxsize=4096)
def steps_of(dim: int, bits: int, chunk: int, beat: int, align: int) -> int:
    """Of a row of `dim` elements of `bits` bits; `chunk` elements in a chunk, `beat` bytes in a beat; `align`: of the
    nibbles of 6-bit rows, which come behind the pairs."""
    planes = BIT_PLANES[bits] if bits != 6 else BIT_PLANES[bits][::-1]
    starts, at = [], 0
    for width in planes:
        if bits == 6 and width == 4:
            at = -(-at // align) * align
        starts.append((at, width))
        at += dim * width // 8
    held = [-1] * len(starts)
    steps = 0
    for number in range(dim // chunk):
        fresh: set[int] = set()
        for plane, (start, width) in enumerate(starts):
            first = start + number * chunk * width // 8
            last = first + chunk * width // 8 - 1
            needed = set(range(first // beat, last // beat + 1))
            fresh |= needed - {held[plane]}
            held[plane] = last // beat
        steps += max(1, len(fresh))
    return steps


def row_steps(dim: np.ndarray, bits: np.ndarray, config: SpAttenConfig) -> np.ndarray:
    """The same for N jobs; 0 for planes that do not exist."""
    c = config
    kinds, of_job = np.unique(np.stack([dim, bits]), axis=1, return_inverse=True)
    steps = [steps_of(int(d), int(b), c.chunk, c.beat_bytes, nibble_align(c)) if b else 0 for d, b in kinds.T]
    return np.array(steps, dtype=np.float64)[of_job.reshape(-1)]
