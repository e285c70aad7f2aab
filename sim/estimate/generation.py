"""Cycles of generation jobs: each job's gangs in turn through the shared parts of the machine, all jobs at a time.

A step takes one walk over K of every job, for MSBs or, once a gang is decided, for the LSBs of its flat members: when
it may start (slots, walks ahead), when its rows have come out of each channel between the V rows that go first, when
Q×K, softmax and local top-k are done with them. V rows follow, then the output tree (`values.py`). Arrays are [jobs] or
[jobs, slices]; the rules are those of docs/architecture.md, the delays `delays.py`.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

from . import delays as d
from .gangs import Gangs, back_to
from .layer import Layer
from .values import Values
from .work import Work

#: Walks that may be under way, by least rows: `control.walker.AHEAD`.
AHEAD = ((128, 2), (64, 4), (0, 15))
#: Requests for K rows that wait, per slice: `fetch.key_walk.QUEUE_DEPTH`.
QUEUE = 64


class Generation:
    """`run` gives the cycles in which each job's sums have left, its first and last probabilities are there, and its
    last rows of V have come.

    `begin` [N]: when PREPARE ends; `latency`: of memory, cycles; `slow` [N]: cycles of a channel per beat."""

    def __init__(self, work: Work, config: SpAttenConfig, begin: np.ndarray, latency: float, slow: np.ndarray):
        self.w, self.c = work, config
        self.gangs = gangs = Gangs(work, config)
        self.latency, self.slow = latency, slow[:, None]
        n, s, most = len(work), config.slices, gangs.most
        self.jobs = np.arange(n)
        self.values = Values(gangs, latency, self.slow)
        self.issued = begin + d.START - d.GANG
        self.walk_free = np.zeros(n)
        self.slot_free = np.full((n, most), np.inf)
        self.waiting = np.full((n, most), np.inf)       # decisions whose LSB walk is still to come
        self.channel = np.zeros((n, s))
        self.slice = np.zeros((n, s))
        self.softmax, self.probs, self.last_probs, self.query = np.zeros((4, n))
        self.first_probs = np.full(n, np.inf)
        self.late_beats = np.zeros((n, s))              # of K after that
        self.ahead = np.select([work.tokens / s >= least for least, _ in AHEAD], [count for _, count in AHEAD])
        self.walked = np.full((n, 2 * most + 2), -np.inf)
        self.slots_given = np.full(n, np.inf)
        #: When every gang has slots, as far as that is known: K goes first from then on.
        self.all_slots = self._last_slots(np.zeros(n, int), np.zeros(n, int))
        self._vectors()

    def _vectors(self) -> None:
        """What a vector takes of softmax and top-k beside its rows, from its probabilities to its first kept row."""
        w, c = self.w, self.c
        rows = np.ceil(self.gangs.counts.max(axis=1))
        engine = d.engine_rows(w.tokens, rows, c)
        pruned = w.keep < w.tokens - 1e-9
        passes = np.where(pruned, c.engine.passes, 1)
        of_topk = rows + 2 * np.ceil(engine / 4) + d.TOPK + d.JOINED * (c.topk_lanes > c.slices)
        if c.engine.passes > 1:
            of_topk = rows + np.where(pruned, passes * engine + 40, 8)
        self.kept_delay = np.where(w.by_mass > 0, 3 * rows + d.MASS + 4 * d.tree(c), of_topk)
        self.vector = np.maximum(np.maximum(rows, engine * passes), 2)
        self.vector = np.where(w.by_mass > 0, np.maximum(self.vector, rows + d.MASS_VECTOR), self.vector)
        self.rows = rows

    def run(self) -> Layer:
        w, gangs, jobs = self.w, self.gangs, self.jobs
        msb, walks = np.zeros((2, len(w)), int)
        walked, ahead = self.walked, self.ahead
        for _ in range(2 * gangs.most):
            may = np.where(walks >= ahead, walked[jobs, np.maximum(walks - ahead, 0) + 1], -np.inf)
            lsb_gang = self.waiting.argmin(axis=1)
            lsb_at = np.maximum(self.waiting[jobs, lsb_gang], may)
            slots_at = self._msb_walk(msb)
            msb_at = np.maximum(slots_at, may)
            lsb = np.isfinite(lsb_at) & (lsb_at <= msb_at)
            active = lsb | np.isfinite(msb_at)
            if not active.any():
                break
            gang = np.where(lsb, lsb_gang, np.minimum(msb, gangs.most - 1))
            start = np.where(active, np.where(lsb, lsb_at, msb_at), 0)
            first = active & ~lsb
            self.issued = np.where(first, start, self.issued)
            self.slots_given = np.where(first, slots_at, self.slots_given)
            self.waiting[jobs[lsb], gang[lsb]] = np.inf
            scored = self._score(active, lsb, gang, start)
            walked[jobs[active], walks[active] + 1] = self.walk_free[active]
            walks += active
            msb += first
            self._soften(active, lsb, gang, scored, msb, walks)
        span = np.maximum(self.channel - np.where(np.isfinite(self.all_slots), self.all_slots, 0)[:, None], 1)
        self.values.behind_keys(self.channel, np.clip(1 - self.late_beats / span, 0.02, 1))
        values = self.values.channel.max(axis=1)
        return Layer(self.values.left, self.first_probs, self.last_probs, values, self.values.gather)

    def _msb_walk(self, msb: np.ndarray) -> np.ndarray:
        """When the next gang may begin: the walker, its slots and items."""
        w, c = self.w, self.c
        slot = back_to(self.slot_free, msb, w.group, c.slots)
        item = back_to(self.values.left_of, msb, w.group, c.items)
        # Members take slots as these come; the last one's is the last to come.
        ready = np.maximum(self.issued + d.GANG + w.group, np.maximum(slot, item) + d.FREED + 1)
        return np.where(msb < self.gangs.count, ready, np.inf)

    def _last_slots(self, msb: np.ndarray, walks: np.ndarray) -> np.ndarray:
        """When the last gang will have its slots, as far as that is known with `msb` gangs and `walks` walks issued:
        the walk before must have been issued, which waits for the end of one before it."""
        w, c = self.w, self.c
        last = self.gangs.count - 1
        slot = back_to(self.slot_free, last, w.group, c.slots)
        item = back_to(self.values.left_of, last, w.group, c.items)
        given = np.maximum(np.maximum(slot, item) + d.FREED + 1, self.issued + (last - msb) * (d.GANG + w.group))
        awaited = walks + last - 1 - msb - self.ahead
        known = self.walked[self.jobs, np.clip(awaited + 1, 0, self.walked.shape[1] - 1)]
        later = self.walk_free + (awaited - walks + 1) * self.gangs.walk_cycles
        return np.maximum(given, np.where(awaited < 0, -np.inf, np.where(awaited < walks, known, later)))

    def _score(self, active: np.ndarray, lsb: np.ndarray, gang: np.ndarray, start: np.ndarray) -> np.ndarray:
        """One walk: when its last scores are in the softmax."""
        w, gangs = self.w, self.gangs
        keys = gangs.keys(gang)
        listed = keys * np.where(lsb, w.near, 1)[:, None]
        rows = np.ceil(keys.max(axis=1))
        walk = np.maximum(start, self.walk_free)
        beats = np.where(lsb, gangs.k_lsb_beats, gangs.k_beats)[:, None]
        work = gangs.of_channels(listed) * beats * self.slow
        arrive = (walk + d.WALK + self.latency)[:, None]
        # The gang's queries come the same way, before.
        of_queries = np.where(lsb, 0, w.group * gangs.q_beats / self.c.channels)[:, None] * self.slow
        begun = np.maximum(self.channel, (start - w.group + d.READ + self.latency)[:, None]) + of_queries
        begun = np.maximum(arrive, np.where(lsb[:, None], self.channel, begun))
        end = self._between_values(active, begun, work)
        # Rows that are still to be asked for.
        end = np.maximum(end, np.where(listed > 0, arrive + np.ceil(keys), 0))
        here = active[:, None]
        # A walk ends when its last requests are in the queues.
        asked = np.where(listed > QUEUE, end - QUEUE * beats, begun).max(axis=1) - d.WALK - self.latency
        self.walk_free = np.where(active, np.maximum(walk + rows, asked) + d.WALK_GAP, self.walk_free)
        self.late_beats += np.where(here, np.clip(end - np.maximum(begun, self.all_slots[:, None]), 0, work), 0)
        self.channel = np.where(here, end, self.channel)
        chunks, members = gangs.chunks[:, None], np.where(lsb, gangs.flat_members(gang), w.group)[:, None]
        steps = np.where(lsb, gangs.k_lsb_steps, gangs.k_steps)[:, None]
        # The gang's queries come over the shared path.
        asked = np.maximum(start - w.group + d.QUERY + self.latency, self.query) + w.group * gangs.q_steps
        self.query = np.where(active & ~lsb, asked, self.query)
        query = np.where(lsb, 0, asked)[:, None]
        inside = np.maximum(begun, self.slice)
        fed = inside + listed * steps - np.where(steps > beats, d.STEPS_SAVED, 0)
        products = listed * members * chunks
        multiplied = products - members + np.maximum(inside + 1 - chunks, query - 1)
        done = np.where(listed > 0, np.maximum(np.maximum(end, fed), multiplied), 0)
        self.slice = np.where(here & (listed > 0), np.maximum(fed, np.maximum(inside, query) + products), self.slice)
        return done.max(axis=1) + gangs.chunks + d.SCORE

    def _between_values(self, active: np.ndarray, begun: np.ndarray, work: np.ndarray) -> np.ndarray:
        """When a walk's rows have come out of each channel: V rows that are wanted before go first, until every gang
        has slots."""
        v, jobs = self.values, self.jobs[:, None]
        lane = np.arange(self.c.slices)[None, :]
        end = begun + work
        while True:
            which = np.minimum(v.passed, self.gangs.most - 1)
            at = v.asked[jobs, which]
            some = ((v.passed < v.ready[:, None]) & active[:, None] & (at < end) & (at < self.all_slots[:, None]))
            if not some.any():
                return end
            beats = v.beats[jobs, which, lane]
            # What has come before this walk needs the channel costs nothing.
            spare = np.clip(begun - np.maximum(at, self.channel), 0, beats)
            end = end + np.where(some, beats - spare, 0)
            v.passed = v.passed + some

    def _soften(self, active: np.ndarray, lsb: np.ndarray, gang: np.ndarray, scored: np.ndarray,
                msb: np.ndarray, walks: np.ndarray) -> None:
        """The vectors of a walk through the softmax; then decisions, or local top-k and the gang's V rows."""
        w, c, gangs, jobs = self.w, self.c, self.gangs, self.jobs
        progressive = w.k_lsb_bits > 0
        again = progressive & ~lsb & gangs.is_flat[jobs, gang]
        members = np.where(lsb, gangs.flat_members(gang), w.group)
        start = np.maximum(scored, self.softmax)
        read = start + (members - 1) * np.maximum(self.rows, 2) + self.rows
        self.softmax = np.where(active, start + members * np.maximum(self.rows, 2), self.softmax)
        decided = read + np.where(progressive & ~lsb, d.DECISION, 0)
        done = active & ~again
        self.slot_free[jobs[done], gang[done]] = decided[done]
        held = active & again
        self.waiting[jobs[held], gang[held]] = decided[held] + d.LSB_WALK
        # Probabilities of the members leave one after the other.
        first = np.maximum(start + self.rows + d.probabilities(c), self.probs)
        last = first + (members - 1) * self.vector
        self.probs = np.where(done, last + self.vector, self.probs)
        self.first_probs = np.where(done, np.minimum(self.first_probs, first), self.first_probs)
        self.last_probs = np.where(done, last + self.rows, self.last_probs)
        self.all_slots = np.where(msb < gangs.count, self._last_slots(msb, walks), self.slots_given)
        self.values.take(done, gang, last + self.kept_delay, self.rows, self.all_slots)
