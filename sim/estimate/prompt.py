"""Cycles of prompts: each job's K/V heads in turn, all jobs at a time.

K and V of a head are filled into one half of the memories while the other is computed from; its queries then follow
each other at the rate of what is slowest: Q×K, Prob×V, the output tree, the softmax and top-k, Q's way, or the slots: a
slot is held from Q's request to the last score read, longer where fills are before Q in the channels.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

from . import delays as d
from .layer import Layer
from .spread import class_counts
from .steps import row_steps
from .traffic import row_beats
from .work import Work

#: From the last beat of a fill to the first queries' requests, beside the memory's latency.
FILLED = 33
#: From a query's request to its slot given back, beside its rows in Q×K and softmax and the memory's latency.
SLOT = 47
#: From a query's request to the first score, of that.
ASKED = 12
#: From the last score of a query head to the next request after its last decision, beside its rows in the softmax.
DECIDED = 76
#: Cycles between two flat queries at least.
AGAIN = 4
#: Of the V rows in SRAM: from a query's first kept row to its sums leaving.
STORED = 28
#: Most cycles that fills delay a Q row: what of them is under way, by beats of the pool.
DELAY, DELAY_PER_BEAT = 60, 0.35


class Prompt:
    """`run` gives the times of each job's `Layer`. `begin`: when PREPARE ends; `latency`: of memory; `slow`: cycles of
    a channel per beat."""

    def __init__(self, work: Work, config: SpAttenConfig, begin: np.ndarray, latency: float, slow: np.ndarray):
        self.w, self.c, self.latency, self.slow = work, config, latency, slow
        self.begin = begin
        self.chunks = work.dim / config.chunk
        self.rows = np.ceil(work.tokens / config.slices)
        self.dropped = (work.keep < work.mean_keys - 1e-9) | (work.by_mass > 0)
        self._fills()
        self._rates()

    def _fills(self) -> None:
        """Cycles to fill K and V of a head: in all slices at once if all tokens are alive, else by the shared path."""
        w, c = self.w, self.c
        local = (w.tokens >= w.context) & (c.slices > 1)

        def fill(bits: np.ndarray) -> np.ndarray:
            beats = row_beats(w.dim, bits, c)
            steps = row_steps(w.dim, bits, c)
            every = self.rows * np.maximum(beats * self.slow * c.slices_per_channel, steps)
            return np.where(bits > 0, np.where(local, every, w.tokens * np.maximum(
                steps, beats * self.slow / c.channels)), 0)

        self.local = local
        self.k_fill, self.v_fill = fill(w.k_bits), fill(w.v_bits)
        # The channels take turns on the shared path: V's rows of those that have little of K come before the last of K.
        fullest = np.ceil(class_counts(w, c).reshape(len(w), -1, c.channels).sum(axis=1).max(axis=1) - 1e-9)
        rows = np.maximum(w.tokens, c.channels * (fullest - 1) + min(c.channels, 5))
        early = np.where(local | (c.channels <= 2), 0, self.k_fill * (rows / w.tokens - 1))
        self.k_fill, self.v_fill = self.k_fill + early, np.maximum(self.v_fill - early, 0)
        self.lsb_fill = fill(w.k_lsb_bits) + fill(w.v_lsb_bits)
        self.q_steps = row_steps(w.dim, w.q_bits, c)

    def _rates(self) -> None:
        """Cycles of all queries of a query head [N], of the first pass and of flat ones."""
        w, c = self.w, self.c
        most = int(w.tokens.max(initial=1))
        position = np.arange(most)[None, :]
        keys = np.where(w.causal[:, None] > 0, position + 1, w.tokens[:, None])
        rows = np.ceil(keys / c.slices)
        live = position < w.tokens[:, None]
        self.delay = DELAY + DELAY_PER_BEAT * c.pool_beats
        share = (w.keep / w.mean_keys)[:, None]
        chunks = self.chunks[:, None]
        value = np.maximum(keys * share * chunks / c.slices, rows) + (chunks if c.local_sums else 0)
        engine = np.maximum(np.ceil(keys / c.topk_lanes), rows)
        engine = engine * np.where(self.dropped, c.engine.passes, 1)[:, None]
        vector = np.where(w.by_mass[:, None] > 0, np.maximum(engine, rows + d.MASS_VECTOR), engine)
        drain = np.maximum(w.dim / d.output_group(c) + 5 * w.gives_back + c.local_sums, 4) + (not c.local_sums)
        ratio = np.where((w.gives_back > 0) & self.dropped, d.RATIO, 0)
        output = np.maximum(np.maximum(value, vector), drain[:, None])
        held = chunks * rows + rows + SLOT + self.latency
        progressive = (w.k_lsb_bits > 0)[:, None]
        # An item is held until its output is read.
        engine = d.engine_rows(keys, rows, c)
        after = d.probabilities(c) + 2 * rows + 2 * np.ceil(engine / 4) + d.TOPK + STORED + 2
        after = np.where(w.by_mass[:, None] > 0, d.probabilities(c) + 4 * rows + d.MASS + STORED, after)
        fast = np.maximum(chunks * rows, self.q_steps[:, None])
        floor = np.maximum(fast, (held + after) / c.items)
        decided = held + np.where(progressive, d.DECISION + 5, 0)
        first, again = np.maximum(floor, decided / c.slots), np.maximum(np.maximum(floor, held / c.slots), AGAIN)
        # What outputs take holds up the softmax, and with it the next first pass.
        again = np.maximum(again, output)
        sharp = np.maximum(fast, output * (1 - w.flat[:, None]))
        self.rounds = self._rounds(decided, np.where(live, sharp, 0))
        self.gained = np.pad(np.where(live, first - fast, 0).cumsum(axis=1), ((0, 0), (1, 0)))
        self.again_gained = np.where(live, again - fast, 0).sum(axis=1) / w.tokens
        slowed = np.maximum(np.maximum(first, (decided + self.delay) / c.slots), (held + after + self.delay) / c.items)
        self._turns(held + after, first)
        self.while_filling = np.where(live, slowed, 1e12).cumsum(axis=1)
        self.otherwise = np.pad(np.where(live, first, 0).cumsum(axis=1), ((0, 0), (1, 0)))
        self.first = np.where(live, first, 0).sum(axis=1)
        # Flat causal queries are those around `flat_keys`.
        upto = np.pad(np.where(live, again, 0).cumsum(axis=1), ((0, 0), (1, 0)))
        count = w.tokens * w.flat
        begin = np.clip(np.rint(w.flat_keys - count / 2), 0, w.tokens - count).astype(int)
        jobs = np.arange(len(w))
        these = upto[jobs, np.minimum(np.rint(begin + count).astype(int), most)] - upto[jobs, begin]
        self.again = np.where(w.causal > 0, these, upto[:, -1] * w.flat)
        self.output = np.where(live, np.maximum(output, ratio[:, None]), 0).sum(axis=1)

    def _rounds(self, decided: np.ndarray, fast: np.ndarray) -> np.ndarray:
        """Cycles [N] of a query head that begins and ends with no slot taken: slots come back round by round, the last
        round at the rate of Q×K. `decided`, `fast`: cycles [N, queries] of a slot, of a query without waiting."""
        n, slots = self.w.tokens, self.c.slots
        upto = np.pad(fast.cumsum(axis=1), ((0, 0), (1, 0)))
        total = upto[:, -1].copy()
        for begin in range(0, fast.shape[1] - 1, slots):
            whole = begin + slots < n
            busy = upto[:, min(begin + slots, fast.shape[1])] - upto[:, begin]
            total += np.where(whole, np.maximum(decided[:, begin] - busy, 0), 0)
        return total

    def _turns(self, loop: np.ndarray, first: np.ndarray) -> None:
        """What the first causal queries of a query head wait for the last ones of that before, whose items end after
        theirs would. `loop`: cycles [N, queries] from a query's request to its output;
        `first`: those that each takes else."""
        w, ring = self.w, self.c.items
        n = w.tokens.astype(int)
        longest = loop[np.arange(len(n)), n - 1][:, None]
        at = np.arange(min(ring, loop.shape[1]))[None, :]
        late = (longest - at * np.maximum(longest / ring - 9, 0)) / ring - first[:, :at.shape[1]]
        waits = np.where(at < w.tokens[:, None], np.maximum(late, 0), 0).sum(axis=1)
        self.turn = np.where((w.causal > 0) & (w.k_lsb_bits == 0), waits, 0)

    def _last_round(self, items: np.ndarray, ring: int) -> np.ndarray:
        """Queries of the last round of `items` through a ring, which no one waits for behind."""
        return np.where(items > 0, (np.ceil(items) - 1) % ring + 1, 0)

    def _saved(self, last: np.ndarray) -> np.ndarray:
        """Cycles that the `last` queries of a query head take less than if they had to wait for their numbers."""
        n = self.w.tokens.astype(int)
        jobs = np.arange(len(n))
        return self.gained[jobs, n] - self.gained[jobs, np.maximum(n - np.minimum(last, n).astype(int), 0)]

    def _queries(self, filling: np.ndarray) -> np.ndarray:
        """Cycles of the queries of a K/V head [N], the first `filling` of which are slower."""
        done = (self.while_filling < filling[:, None]).sum(axis=1)
        jobs = np.arange(len(done))
        reached = np.where(done > 0, self.while_filling[jobs, np.maximum(done - 1, 0)], 0)
        return reached + self.otherwise[:, -1] - self.otherwise[jobs, done] + (self.w.group - 1) * self.first

    def run(self) -> Layer:
        w, c = self.w, self.c
        n = len(w)
        heads = np.rint(w.heads).astype(int)
        most = int(heads.max(initial=1))
        half = np.zeros((n, most + 2))
        fill_free = self.begin + 1
        scored = np.zeros(n)
        valued = np.zeros(n)
        progressive = w.k_lsb_bits > 0
        way = self.rows + d.SCORE + d.probabilities(c)
        kept_delay = self._kept_delay()
        fills = self.k_fill + self.v_fill
        left = np.zeros(n)
        for h in range(most):
            on = h < heads
            start = np.maximum(fill_free, half[:, h] - 1)
            k_there = start + self.k_fill + FILLED + self.latency - 1
            # Q goes first on the shared path.
            slowed = np.where(self.local | (h == 0), 0, 0.5 * np.minimum(w.group * w.tokens * self.q_steps, fills))
            fill_end = start + fills + slowed
            k_there = k_there + slowed / 2
            # Fills of the next head follow at once if its half is free; Q comes behind what is under way.
            following = np.maximum(fill_end, half[:, h + 1])
            more = fills * (h + 1 < heads)
            behind = np.where(following <= fill_end, more, 0)
            asked = np.maximum(k_there, scored - SLOT)
            late = np.clip(fill_end + behind + 13 + self.latency - asked - 19, 0, self.delay)
            first = np.maximum(asked + ASKED + self.latency + late, scored)
            fill_free = np.where(on, fill_end, fill_free)
            filling = np.maximum(fill_end + 10 - asked, 0) + np.where(
                more > 0, np.clip(following + more + 10 - np.maximum(asked, following), 0, more), 0)
            end = first + self._queries(filling) + self.turn * (w.group - (h == 0))
            end = end + np.where(progressive, self._progressive(h + 1 == heads), 0)
            end = end - np.where(~progressive & (h + 1 == heads), self._saved(self._last_round(w.items, c.items)), 0)
            scored = np.where(on, end, scored)
            valued_at = np.maximum(np.maximum(valued, first) + w.group * self.output, end)
            valued = np.where(on, valued_at, valued)
            left = valued + way + kept_delay + self.rows + STORED - 2
            half[:, h + 2] = np.where(on, left + 3, half[:, h + 2])
        probs = scored + way + self.rows
        kept = np.maximum(probs - self.rows + kept_delay, left - STORED - self.rows)
        return Layer(left, self.begin, probs, self.begin, kept)

    def _progressive(self, last_head: np.ndarray) -> np.ndarray:
        """What decisions add to a K/V head: after the last one of a query head its flat queries follow, or the next
        query head. The first time, LSBs have to be filled."""
        w, c = self.w, self.c
        gap = self.rows + DECIDED + ASKED + self.latency
        flat = w.flat * w.tokens
        any_flat = np.minimum(1, flat)
        saved = self.first - self.rounds
        again = self.again - self.again_gained * np.minimum(self._last_round(flat, c.slots), flat)
        gaps = w.group - np.where(last_head, 1 - any_flat, 0)
        fill = w.flat_heads * (self.lsb_fill + FILLED + self.latency + 1)
        return gaps * gap + w.group * (np.where(flat > 0, again, 0) - saved) + fill

    def _kept_delay(self) -> np.ndarray:
        """From a vector's first probabilities to its first kept row."""
        w, c = self.w, self.c
        engine = d.engine_rows(w.tokens, self.rows, c)
        delay = self.rows + 2 * np.ceil(engine / 4) + d.TOPK + d.JOINED * (c.topk_lanes > c.slices)
        if c.engine.passes > 1:
            delay = self.rows + np.where(self.dropped, c.engine.passes * engine + 40, 8)
        return np.where(w.by_mass > 0, 3 * self.rows + d.MASS + 4 * d.tree(c), delay)
