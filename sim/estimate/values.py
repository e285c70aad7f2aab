"""The second half of generation jobs: V rows of gangs whose values are chosen, Prob×V, the output tree."""

from __future__ import annotations

import numpy as np

from . import delays as d
from .gangs import Gangs, back_to

#: V rows of a slice between the lists and Prob×V: entries and requests that wait, rows in flight.
QUEUE = 76


class Values:
    """Gangs come in the order in which their values are chosen. `left` [N]: when the last sums have left, `left_of`
    [N, gangs]: those of each. `asked` [N, gangs], `beats` [N, gangs, S]: when V rows are at the channels, and how much;
    `ready` [N]: of so many gangs, `passed` [N, S]: that K rows have let pass."""

    def __init__(self, gangs: Gangs, latency: float, slow: np.ndarray):
        self.gangs, self.w, self.c = gangs, gangs.work, gangs.config
        self.latency, self.slow = latency, slow
        n, s, most = len(self.w), self.c.slices, gangs.most
        self.jobs = np.arange(n)
        self.asked = np.full((n, most), np.inf)
        self.beats = np.zeros((n, most, s))
        self.ready = np.zeros(n, int)
        self.passed = np.zeros((n, s), int)
        self.left_of = np.full((n, most), np.inf)
        self.left, self.gather, self.tree, self.ratio = np.zeros((4, n))
        self.channel = np.zeros((n, s))
        self.slice = np.zeros((n, s))
        self._late: list[tuple[np.ndarray, ...]] = []
        group = d.output_group(self.c)
        self.drain = np.maximum(self.w.dim / group + (5 * (self.w.gives_back > 0)) + self.c.local_sums, 4)

    def take(self, which: np.ndarray, gang: np.ndarray, kept: np.ndarray, rows: np.ndarray,
             all_slots: np.ndarray) -> None:
        """Gangs of the jobs in `which`, whose last member has its first kept row at `kept`: at once, or behind K if
        every gang has slots by then."""
        late = np.maximum(kept, self.gather) + d.VALUE >= all_slots
        if (which & late).any():
            self._late.append((which & late, gang, kept, rows))
        self._take(which & ~late, gang, kept, rows, None, None)

    def behind_keys(self, k_end: np.ndarray, spare: np.ndarray) -> None:
        """Those that come behind K: it has the channels until `k_end` [N, S] and leaves a share `spare` of them."""
        for which, gang, kept, rows in self._late:
            self._take(which, gang, kept, rows, k_end, spare)

    def _take(self, which: np.ndarray, gang: np.ndarray, kept: np.ndarray, rows: np.ndarray,
              k_end: np.ndarray | None, spare: np.ndarray | None) -> None:
        w, c, gangs, jobs = self.w, self.c, self.gangs, self.jobs
        here = which[:, None]
        free = back_to(self.left_of, self.ready, w.group, c.sums)
        gathered = np.maximum.reduce([kept, self.gather, np.where(np.isfinite(free), free, 0) + d.FREED])
        v_rows = gangs.values(gang)
        flat = gangs.is_flat[jobs, gang]
        lsb = np.where((w.v_lsb_bits > 0) & flat,
                       w.flat_union / np.maximum(w.flat_heads * w.union, 1e-9), 0)[:, None]
        beats = gangs.v_beats[:, None] + lsb * gangs.v_lsb_beats[:, None]
        work = gangs.of_channels(v_rows) * beats * self.slow
        at = (gathered + d.VALUE + self.latency)[:, None]
        start = np.maximum(at, self.channel)
        end = start + work if k_end is None or spare is None else _shared(start, work, k_end, spare)
        end = np.maximum(end, at + np.maximum(rows[:, None] - 5, 0) * (v_rows > 0))
        self.channel = np.where(here, end, self.channel)
        # Products for every member that keeps the row; steps beyond a row's chunks do not overlap with them.
        chunks = gangs.chunks[:, None]
        keepers = (w.group * w.keep / np.maximum(w.union, 1e-9))[:, None]
        rate = gangs.v_steps[:, None] + chunks * np.maximum(keepers - 1, 0)
        flat_keepers = gangs.flat_members(gang) * w.keep * w.flat_heads / np.maximum(w.flat_union, 1e-9)
        rate = rate + lsb * (gangs.v_lsb_steps[:, None] + chunks * np.maximum(flat_keepers - 1, 0)[:, None])
        done = np.maximum(np.maximum(self.slice, start) + v_rows * rate, end)
        self.slice = np.where(here, done, self.slice)
        # The lists have been read when the last entries are in the slices' queues.
        queued = np.where(v_rows > QUEUE, done - QUEUE * rate, 0).max(axis=1)
        self.gather = np.where(which, np.maximum(gathered + rows, queued), self.gather)
        self._drain(which, gang, np.where(v_rows > 0, done, 0).max(axis=1) + d.PRODUCT + gangs.chunks, kept + rows)
        order = np.minimum(self.ready, gangs.most - 1)
        self.asked[jobs[which], order[which]] = at[which, 0]
        # One converter for both: K waits while products hold up V's rows.
        held = np.maximum(work, v_rows * rate) if c.feeds == 1 else work
        self.beats[jobs[which], order[which]] = held[which]
        self.ready = self.ready + which

    def _drain(self, which: np.ndarray, gang: np.ndarray, finished: np.ndarray, kept: np.ndarray) -> None:
        """The output tree: the gang's items one after the other, behind their ratios if these are given back."""
        w, gangs = self.w, self.gangs
        dropped = (w.gives_back > 0) & (w.keep < w.tokens - 1e-9)
        self.ratio = np.where(which & dropped, np.maximum(self.ratio, kept - w.group * 2) + w.group * d.RATIO,
                              self.ratio)
        begun = np.maximum.reduce([self.tree, finished, np.where(dropped, self.ratio, 0)])
        left = begun + (w.group - 1) * self.drain + (gangs.chunks - 1)
        self.tree = np.where(which, begun + w.group * self.drain, self.tree)
        self.left = np.where(which, left, self.left)
        self.left_of[self.jobs[which], gang[which]] = left[which]


def _shared(start: np.ndarray, work: np.ndarray, k_end: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """When `work` is done on channels that K has until `k_end`, a share `spare` of which it leaves."""
    before = np.clip(k_end - start, 0, None) * spare
    return np.where(work <= before, start + work / spare, np.maximum(start, k_end) + work - before)
