"""Cycles of jobs, each on its own: PREPARE, the layer, FINISH."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

from . import cascade
from .generation import Generation
from .prompt import Prompt
from .work import Work

#: Cycles from a read's address to its first data on perfect memory, as the benches have it.
LATENCY = 8


def job_cycles(work: Work, config: SpAttenConfig, latency: float = LATENCY,
               slow: np.ndarray | float = 1.0) -> np.ndarray:
    """Cycles [N]. `latency`: of memory; `slow`: cycles of a channel per beat, 1 at full bandwidth."""
    begin = cascade.prepare(work, config, latency)
    per_beat = np.broadcast_to(np.asarray(slow, dtype=np.float64), begin.shape)
    left, kept = np.zeros((2, len(work)))
    for which, model in ((work.generate > 0, Generation), (work.generate == 0, Prompt)):
        if which.any():
            run = model(work[which], config, begin[which], latency, per_beat[which]).run()
            left[which], kept[which] = run[0], run[-1]
    return cascade.finish(work, config, left, kept)
