"""Jobs that follow each other in the queue: two at a time, as docs/architecture.md has it."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.dram.timing import DramTiming

from . import cascade
from . import delays as d
from .cycles import Times, job_times
from .memory import access, pattern_of
from .traffic import row_beats
from .work import Work

#: From the front stage's end of a job to the next job's start; from a job's end to the next one's first probabilities.
NEXT, GATE = 3, 4
#: Vectors of probabilities after which a threshold has been found.
FOUND = 6


def sequence(work: Work, config: SpAttenConfig, memory: DramTiming | None = None) -> float:
    """Cycles of the jobs in order, from the first one's start to the last one's end. A generation job is prepared and
    scored while the one before still fetches V and writes; a prompt waits for the end of the one before."""
    pattern = None if memory is None else pattern_of(work, config, memory)
    latency, slow = access(pattern, config, memory)
    times = job_times(work, config, latency, slow)
    saved = _tracked(work, config, latency)
    keys = work.heads * work.tokens * row_beats(work.dim, work.k_bits, config) / config.channels * slow
    rows = work.heads * work.union * row_beats(work.dim, work.v_bits, config) / config.channels * slow
    front, back, values = 0.0, 0.0, 0.0
    for n in range(len(work)):
        t = _one(times, n)
        start = front + (NEXT if n else 0)
        stored = n > 0 and (work.stores_state[n - 1] or work.stores_scores[n - 1])
        if stored and (work.loads_state[n] or work.loads_scores[n]):
            start = max(start, back)
        late = -saved[n]
        if n and not work.generate[n]:
            late = max(late, back + GATE - start - t["prepared"])
        elif n:
            # The channels have V of the job before until `values`. K comes before it where every query has a slot.
            begun = start + t["prepared"] + late + d.START + d.WALK
            behind = values - begun
            if behind > 0 and work.items[n] <= config.slots:
                back += max(0.0, begun + keys[n] + min(behind, rows[n - 1]) - values)
            else:
                late += max(0.0, behind)
            # Its outputs have to be there before the first probabilities.
            late = max(late, back + GATE - start - t["first_probs"])
        start += late
        front, back = start + t["fronted"], max(back, start + t["end"])
        values = start + t["values"] if work.generate[n] else 0.0
    return float(back)


def _one(times: Times, n: int) -> dict[str, float]:
    """The times of one job by name."""
    layer = times.layer
    return {"prepared": times.prepared[n], "first_probs": layer.first_probs[n], "values": layer.values[n],
            "fronted": times.fronted[n], "end": times.end[n]}


def _tracked(work: Work, config: SpAttenConfig, latency: float) -> np.ndarray:
    """Cycles [N] that token pruning takes less behind a generation job, during which it has looked for the threshold:
    only passes over a quarter of the candidates, a sixteenth … remain, and the final one."""
    before = np.concatenate([[0], work.generate[:-1]]) > 0
    # It takes some vectors until it is found.
    vectors = np.concatenate([[0], work.items[:-1]])
    rows = np.ceil(work.tokens_before / config.slices)
    passes = np.maximum(1, np.ceil(np.log(np.maximum(rows, 2)) / np.log(4)))
    tracked = rows + 1 + rows / 3 + cascade.PASS * passes + cascade.SEARCH + d.tree(config)
    whole = work.replace(prunes_tokens=0)
    search = cascade.prepare(work, config, latency) - cascade.prepare(whole, config, latency)
    saved = np.maximum(0, search - tracked) * np.minimum(1, vectors / FOUND)
    return np.where(before & (work.continues > 0) & (work.prunes_tokens > 0), saved, 0)
