"""What the cascade adds to a job: PREPARE before it, FINISH and stored state after it."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

from . import delays as d
from .layer import Layer
from .work import Work

#: Of a search's pass beside its rows; of a search beside its passes.
PASS, SEARCH = 7, 11
#: Per head dropped, beside a cycle per head of the job.
HEAD = 4
#: Trips to memory for saved words, and what surrounds them; rows of a bitmap are cut out of a word one per cycle.
TRIP, LOAD = 23, 28
#: FINISH of a generation job, from its last probabilities.
FINISH = 9
#: FINISH of a prompt, beside a cycle per token and four per row; of stored bitmaps, importance, and their end.
MERGE, BITMAP, IMPORTANCE, STORED = 12, 18, 2, 14
#: The dense list of a prompt, beside two cycles for a row of the classes, or one for a token.
DENSE = 5
#: The longest burst of writes.
BURST = 16


def prepare(work: Work, config: SpAttenConfig, latency: float) -> np.ndarray:
    """Cycles [N] from a job's start to the end of PREPARE, the accelerator idle before."""
    w, c = work, config
    cycles = np.full(len(w), float(d.PREPARE))
    rows = np.ceil(w.context / c.slices)
    trip = TRIP + latency + c.word_beats
    zero = (w.loads_scores > 0) | (w.clears > 0)
    words = w.context + w.all_heads
    cycles += np.where(w.loads_scores > 0, rows + np.ceil(words / c.read_words) * trip, 0)
    bitmaps = np.ceil(w.context / 64) + np.ceil(w.all_heads / 64)
    cycles += np.where(w.loads_state > 0, bitmaps * 64 / c.slices + LOAD + latency + bitmaps + 1
                       + np.maximum(0, np.ceil((bitmaps + 1) / c.read_words) - 1) * 4, 0)
    cycles += np.where(w.prunes_tokens > 0, _search(w, c), 0)
    cycles += np.where((w.prunes_tokens > 0) & zero & (w.loads_scores == 0), np.maximum(rows - 3, 0), 0)
    drops = np.maximum(w.heads_before - w.heads, 0)
    cycles += np.where(drops > 0, drops * (w.all_heads + HEAD) + 1, 0)
    # The dense list of a prompt that is not whole.
    build = (w.generate == 0) & (w.tokens < w.context) & ((w.continues == 0) | (w.prunes_tokens > 0))
    cycles += np.where(build, np.maximum(2 * rows + DENSE, w.tokens + DENSE + 1), 0)
    return cycles



def _search(work: Work, config: SpAttenConfig) -> np.ndarray:
    """Token pruning: passes over the totals, then once over the lists."""
    w, c = work, config
    longest = np.ceil(w.tokens_before / c.slices)
    longest = np.where(w.search_first > 0, w.search_first, longest)
    rows = np.where(w.search_passes > 0, w.search_rows, 3.0 * longest)
    passes = np.where(w.search_passes > 0, w.search_passes, 5)
    return rows + longest + PASS * passes + SEARCH + d.tree(c)


def finish(work: Work, config: SpAttenConfig, layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cycles [N] in which the outputs have left the requantiser, the front stage has done, the job ends."""
    w, c = work, config
    rows = np.ceil(w.context / c.slices)
    own_rows = np.ceil(w.tokens / c.slices)
    beats = np.ceil(w.dim * 2 / c.beat_bytes)
    groups = c.chunk / d.output_group(c)
    written = layer.left + d.OUTPUT + groups + 5 * (w.gives_back > 0)
    merged = np.where(w.generate > 0, np.maximum(layer.probs, layer.kept) + FINISH,
                      layer.kept + own_rows + MERGE + w.tokens + 4 * own_rows)
    end = np.maximum(written + d.END + beats, merged + 5)
    stores = (w.stores_state > 0) | (w.stores_scores > 0)
    begun = np.maximum(written, merged)
    per_beat = c.beat_bytes / 8
    bitmap = np.where(w.stores_state > 0, 2 * rows + BITMAP, 4)
    words = 1 + np.ceil(w.context / 64) + np.ceil(w.all_heads / 64)
    last = _last_burst(words / per_beat, 2)
    scores = np.where(w.stores_scores > 0, w.context + 4 * rows + w.all_heads + IMPORTANCE, 0)
    words = w.context + w.all_heads
    last = np.where(w.stores_scores > 0, 1 + _last_burst(words / per_beat, (c.slices + 4) / c.slices * per_beat), last)
    fronted = np.where(stores, begun + bitmap + scores, merged)
    return written, fronted, np.where(stores, fronted + STORED + last, end)


def _last_burst(beats: np.ndarray, every: float) -> np.ndarray:
    """Cycles that the last burst takes: its beats, or what is left of the one before; beats come `every` so many."""
    beats = np.ceil(beats)
    last = np.where(beats % BURST == 0, BURST, beats % BURST)
    return np.where(beats > BURST, np.maximum(last, BURST - every * last), last)

