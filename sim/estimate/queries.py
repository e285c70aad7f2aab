"""Cycles of short prompts: query after query through the rings of slots and items, all jobs at a time.

A step takes one query of every job: when it may be asked for, scored, decided, when its output leaves. Where a prompt
is long, these add up to the rates of `prompt.py`.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

from . import delays as d
from .layer import Layer
from .prompt import AGAIN, ASKED, DELAY, DELAY_PER_BEAT, FILLED, Prompt
from .steps import row_steps
from .traffic import row_beats
from .work import Work

#: From a query's first kept row to Prob×V, from there to its sums leaving; from a half given up to its next fill.
VALUES, SUMS, REFILL = 8, 19, 3
#: From the last decision of a query head to the next request; from then to the LSB fills' first address.
DECIDED, LSB_FILL = 4, 9
#: Where the channels take turns on the shared path: rows of fills that a query waits for, and its share of the path.
TURNS, SHARE = 20, 4
#: Cycles that fills go on beyond which queries get that share.
LONG = 250
#: From a fill's command to its first reads in the channels.
STARTED = 8


class Queries(Prompt):
    """As `Prompt`, for prompts of few queries."""

    def __init__(self, work: Work, config: SpAttenConfig, begin: np.ndarray, latency: float, slow: np.ndarray):
        super().__init__(work, config, begin, latency, slow)
        n, c = len(work), config
        self.jobs = np.arange(n)
        self.heads = np.rint(work.heads).astype(int)
        self.count = work.tokens.astype(int)
        self.progressive = work.k_lsb_bits > 0
        self.q_beats = row_beats(work.dim, work.q_bits, c)
        most_late = DELAY + DELAY_PER_BEAT * c.pool_beats
        k_beats, v_beats = (row_beats(work.dim, bits, c) for bits in (work.k_bits, work.v_bits))
        k_steps, v_steps = (row_steps(work.dim, bits, c) for bits in (work.k_bits, work.v_bits))
        self.ahead = np.where(self.local, (k_beats + v_beats) / 2, (k_steps + v_steps) / 2) - 1
        turns = ~self.local & (c.channels > 2)
        self.most_late = np.where(turns, TURNS * (self.ahead + 1), most_late)
        #: Between two queries' rows while fills go on.
        self.query_gap = np.where(turns, SHARE * self.q_steps, self.q_steps)
        self._flat_queries()
        self.slots, self.items = np.full((n, c.slots), -np.inf), np.full((n, c.items), -np.inf)
        self.asked, self.query, self.score, self.read, self.probs, self.value, self.tree, self.ratio, self.kept = (
            np.zeros((9, n)))
        self.asked += begin
        self.last, self.left, self.decided = np.zeros((3, n))
        self.free_at = begin + 1                        # when fills may go on
        self.filling = np.stack([begin, begin])         # the latest fills: from, to
        most = int(self.heads.max(initial=1)) + 2
        self.k_there, self.v_there = np.zeros((2, n, most))
        for head in (0, 1):
            self._fill(np.full(n, head), self.heads > head, begin)

    def _flat_queries(self) -> None:
        """Which queries of a query head are flat [N, queries], in heads that have some; the heads [N, heads]."""
        w = self.w
        most = int(self.count.max(initial=1))
        share = np.where(self.progressive & (w.flat_heads > 0), w.flat / np.maximum(w.flat_heads, 1e-9), 0)
        number = np.minimum(np.rint(share * w.tokens), w.tokens)
        at = np.arange(most)[None, :]
        begin = np.clip(np.rint(w.flat_keys - number / 2), 0, w.tokens - number)[:, None]
        around = (at >= begin) & (at < begin + number[:, None])
        part = (number / w.tokens)[:, None]
        spread = np.floor((at + 1) * part + 0.5 - 1e-9) > np.floor(at * part + 0.5 - 1e-9)
        live = at < w.tokens[:, None]
        self.is_flat = np.where(w.causal[:, None] > 0, around, spread) & live
        self.flat_count = self.is_flat.sum(axis=1)
        self.flat_order = np.argsort(~self.is_flat, axis=1, kind="stable")
        heads = np.arange(int(self.heads.max(initial=1)) + 1)[None, :]
        upto = np.floor(heads * w.flat_heads[:, None] + 0.5 * (w.flat_heads[:, None] < 1) + 1e-9)
        known = w.flats[:, :heads.shape[1] - 1]
        self.head_flat = np.where(np.isnan(known), np.diff(upto, axis=1) > 0, known > 0)

    def _fill(self, head: np.ndarray, which: np.ndarray, free: np.ndarray) -> None:
        """K and V of a head, into the half that is `free` from then on."""
        start = np.maximum(self.free_at, free)
        there = FILLED + self.latency + row_beats(self.w.dim, self.w.k_bits, self.c) - 2
        at = np.where(which, head, self.k_there.shape[1] - 1)
        self.k_there[self.jobs, at] = start + self.k_fill + there
        self.v_there[self.jobs, at] = start + self.k_fill + self.v_fill + there
        begin = np.where(start > self.filling[1], start, self.filling[0])
        self.free_at = np.where(which, start + self.k_fill + self.v_fill, self.free_at)
        self.filling = np.where(which, np.stack([begin, self.free_at]), self.filling)

    def run(self) -> Layer:
        w, jobs = self.w, self.jobs
        head, member, at, issued = np.zeros((4, len(w)), int)
        again = np.zeros(len(w), bool)
        ready = self.k_there[:, 0].copy()           # when the walker may go on
        while True:
            active = head < self.heads
            if not active.any():
                break
            flat_head = self.head_flat[jobs, np.minimum(head, self.head_flat.shape[1] - 1)] & self.progressive
            flats = np.where(flat_head, self.flat_count, 0)
            place = np.where(again, self.flat_order[jobs, at], at)
            dropped = ~again & flat_head & self.is_flat[jobs, place]
            self._query(active, head, place, again, dropped, issued, ready)
            issued += active
            at = at + active
            # Where the walk goes on: flat queries, the next query head, the next head.
            ends = active & np.where(again, at >= flats, at >= self.count)
            decided = self.decided + DECIDED
            to_again = ends & ~again & (flats > 0)
            first_time = to_again & (member == 0)
            ready = np.where(ends & ~again & self.progressive, np.maximum(ready, decided), ready)
            filled = decided + self.lsb_fill + FILLED + self.latency + LSB_FILL - 1
            ready = np.where(first_time, np.maximum(ready, filled), ready)
            following = ends & ~to_again
            new_head = following & (member + 1 >= w.group)
            if new_head.any():
                self._fill(head + 2, new_head & (head + 2 < self.heads), np.where(new_head, self.left + REFILL, 0))
            member = np.where(new_head, 0, member + following)
            head = head + new_head
            there = self.k_there[jobs, np.minimum(head, self.k_there.shape[1] - 1)]
            ready = np.where(new_head, np.maximum(ready, there), ready)
            at = np.where(ends, 0, at)
            again = np.where(to_again, True, again & ~following)
        return Layer(self.left, self.begin, self.last, self.begin, self.kept)

    def _query(self, active: np.ndarray, head: np.ndarray, place: np.ndarray, again: np.ndarray, dropped: np.ndarray,
               issued: np.ndarray, ready: np.ndarray) -> None:
        """One query of every job in `active`. `dropped`: it turns out flat."""
        w, c, jobs = self.w, self.c, self.jobs
        keys = np.where(w.causal > 0, place + 1, w.tokens)
        rows = np.ceil(keys / c.slices)
        slot, item = issued % c.slots, issued % c.items
        asked = np.maximum.reduce([self.asked + np.where(again, AGAIN, 1), self.slots[jobs, slot] + d.FREED,
                                   self.items[jobs, item] + d.FREED, ready])
        # Fills that are under way come first in the channels; on the shared path Q goes first.
        begin, end = self.filling
        after = end + 13 + self.latency - asked - 19
        behind = (asked >= begin + STARTED) & (after > 0)
        # Reads run ahead of their data where rows have several beats.
        late = np.where(behind, np.minimum(np.clip(after, 0, self.most_late), self.ahead * (asked - begin)), 0)
        query = np.maximum(asked + ASKED + self.latency + self.q_beats - 1 + late,
                           self.query + np.where(behind & (after > LONG), self.query_gap, self.q_steps))
        scored = np.maximum(self.score, query) + self.chunks * rows
        read = np.maximum(scored + d.SCORE, self.read) + rows
        decided = read + np.where(self.progressive & ~again, d.DECISION, 0)
        final = active & ~dropped
        vector = np.where(w.by_mass > 0, rows + d.MASS_VECTOR, np.maximum(rows, np.ceil(keys / c.topk_lanes)))
        probs = np.maximum(read + d.probabilities(c), self.probs)
        kept = probs + self._delay(keys, rows)
        value = np.maximum(keys * w.keep / w.mean_keys * self.chunks / c.slices, rows) + self.chunks * c.local_sums
        there = self.v_there[jobs, np.minimum(head, self.v_there.shape[1] - 1)]
        done = np.maximum.reduce([kept + VALUES, self.value, there]) + value
        drain = np.maximum(w.dim / d.output_group(c) + 5 * w.gives_back + c.local_sums, 4) + (not c.local_sums)
        given = np.where((w.gives_back > 0) & self.dropped, np.maximum(self.ratio, kept + rows) + d.RATIO, 0)
        out = np.maximum.reduce([self.tree, done + SUMS - 2 * c.local_sums, given])
        self.asked, self.query, self.score, self.read, self.decided = (
            np.where(active, new, old) for new, old in (
                (asked, self.asked), (query, self.query), (scored, self.score), (read, self.read),
                (decided, self.decided)))
        self.probs, self.value, self.tree, self.ratio, self.left, self.kept, self.last = (
            np.where(final, new, old) for new, old in (
                (probs + vector, self.probs), (done, self.value), (out + drain, self.tree), (given, self.ratio),
                (out, self.left), (kept, self.kept), (probs + rows, self.last)))
        self.slots[jobs[active], slot[active]] = decided[active]
        self.items[jobs[active], item[active]] = np.where(final, out, decided)[active]
        if not self.local.all():
            self._delay_fills(active & ~self.local & behind, asked + 19, head)

    def _delay_fills(self, which: np.ndarray, time: np.ndarray, head: np.ndarray) -> None:
        """On the shared path a query's row delays the fills that are under way."""
        self.filling[1] += np.where(which, self.q_steps, 0)
        self.free_at += np.where(which, self.q_steps, 0)
        for there, of_head in ((self.v_there, head), (self.k_there, head + 1), (self.v_there, head + 1)):
            at = np.minimum(of_head, there.shape[1] - 1)
            there[self.jobs, at] += np.where(which & (time < there[self.jobs, at]), self.q_steps, 0)

    def _delay(self, keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """From a vector's first probabilities to its first kept row."""
        w, c = self.w, self.c
        engine = d.engine_rows(keys, rows, c)
        delay = rows + 2 * np.ceil(engine / 4) + d.TOPK + d.JOINED * (c.topk_lanes > c.slices)
        if c.engine.passes > 1:
            delay = rows + np.where(self.dropped, c.engine.passes * engine + 40, 8)
        return np.where(w.by_mass > 0, 3 * rows + d.MASS + 4 * d.tree(c), delay)
