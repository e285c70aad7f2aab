"""Cycles of jobs, each on its own: PREPARE, the layer, FINISH."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from spatten_hw.config import SpAttenConfig

from . import cascade
from .generation import Generation
from .layer import Layer
from .prompt import Prompt
from .queries import Queries
from .work import Work

#: Cycles from a read's address to its first data on perfect memory, as the benches have it.
LATENCY = 8
#: Queries up to which a prompt is followed query by query.
FEW = 1500
#: Prompts of about as many queries are followed together, as all of them take as many steps as the longest.
ALIKE = (0, 60, 200, 600, FEW)


@dataclass(frozen=True)
class Times:
    """Cycles [N] from each job's start: `prepared`: PREPARE has ended; `layer`: what happens then; `written`: the last
    beat of outputs has left the requantiser; `fronted`: the front stage has done with the job; `end`: it has ended."""

    prepared: np.ndarray
    layer: Layer
    written: np.ndarray
    fronted: np.ndarray
    end: np.ndarray


def job_times(work: Work, config: SpAttenConfig, latency: float = LATENCY,
              slow: np.ndarray | float = 1.0) -> Times:
    """`latency`: of memory; `slow`: cycles of a channel per beat, 1 at full bandwidth."""
    prepared = cascade.prepare(work, config, latency)
    per_beat = np.broadcast_to(np.asarray(slow, dtype=np.float64), prepared.shape)
    parts: dict[str, np.ndarray] = {f.name: np.zeros(len(work)) for f in fields(Layer)}
    for which, model in _models(work):
        if which.any():
            layer = model(work[which], config, prepared[which], latency, per_beat[which]).run()
            for name, array in parts.items():
                array[which] = getattr(layer, name)
    layer = Layer(**parts)
    return Times(prepared, layer, *cascade.finish(work, config, layer))


def _models(work: Work) -> Iterator[tuple[np.ndarray, type[Generation] | type[Prompt]]]:
    """Which jobs are timed together by what."""
    prompt, steps = work.generate == 0, work.items * (1 + work.flat)
    yield ~prompt, Generation
    yield prompt & (steps > FEW), Prompt
    for low, high in pairwise(ALIKE):
        yield prompt & (steps > low) & (steps <= high), Queries


def job_cycles(work: Work, config: SpAttenConfig, latency: float = LATENCY,
               slow: np.ndarray | float = 1.0) -> np.ndarray:
    """Cycles [N] of each job alone."""
    return job_times(work, config, latency, slow).end
