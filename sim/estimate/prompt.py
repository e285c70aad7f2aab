"""Cycles of prompts: each job's K/V heads in turn, all jobs at a time.

K and V of a head are filled into one half of the memories while the other is computed from; its queries then follow
each other at the rate of what is slowest: Q×K, Prob×V, the output tree, the softmax and top-k, Q's way, or the slots: a
slot is held from Q's request to the last score read, longer where fills are before Q in the channels.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

from . import delays as d
from .traffic import row_beats
from .work import Work

#: From the last beat of a fill to the first queries' requests, beside the memory's latency.
FILLED = 33
#: From a query's request to its slot given back, beside its rows in Q×K and softmax and the memory's latency.
SLOT = 47
#: From a query's request to the first score, of that.
ASKED = 12
#: From a flat query's decision to its new request.
AGAIN = 8
#: Of the V rows in SRAM: from a query's first kept row to its sums leaving.
STORED = 28
#: Most cycles that fills delay a Q row: what of them is under way, by beats of the pool.
DELAY, DELAY_PER_BEAT = 60, 0.35


class Prompt:
    """`run` gives when all sums have left, when the last probabilities and the last kept rows have, and the rows of a
    whole vector. `begin`: when PREPARE ends; `latency`: of memory; `slow`: cycles of a channel per beat."""

    def __init__(self, work: Work, config: SpAttenConfig, begin: np.ndarray, latency: float, slow: np.ndarray):
        self.w, self.c, self.latency, self.slow = work, config, latency, slow
        self.begin = begin
        self.chunks = work.dim / config.chunk
        self.rows = np.ceil(work.tokens / config.slices)
        self.dropped = (work.keep < work.mean_keys - 1e-9) | (work.by_mass > 0)
        self._fills()
        self._rates()

    def _fills(self) -> None:
        """Cycles to fill K and V of a head: in all slices at once if all tokens are alive, else over the shared path."""
        w, c = self.w, self.c
        local = (w.tokens >= w.context) & (c.slices > 1)

        def fill(bits: np.ndarray) -> np.ndarray:
            beats = row_beats(w.dim, bits, c)
            steps = np.maximum(self.chunks, beats)
            every = self.rows * np.maximum(beats * self.slow * c.slices_per_channel, self.chunks)
            return np.where(bits > 0, np.where(local, every, w.tokens * np.maximum(
                steps, beats * self.slow / c.channels)), 0)

        self.local = local
        self.k_fill, self.v_fill = fill(w.k_bits), fill(w.v_bits)
        self.lsb_fill = fill(w.k_lsb_bits) + fill(w.v_lsb_bits)
        self.q_steps = np.maximum(self.chunks, row_beats(w.dim, w.q_bits, c))

    def _rates(self) -> None:
        """Cycles of all queries of a query head [N], of the first pass and of flat ones."""
        w, c = self.w, self.c
        most = int(w.tokens.max(initial=1))
        position = np.arange(most)[None, :]
        keys = np.where(w.causal[:, None] > 0, position + 1, w.tokens[:, None])
        rows = np.ceil(keys / c.slices)
        live = position < w.tokens[:, None]
        n = w.tokens[:, None]
        share = (w.keep / w.mean_keys)[:, None]
        chunks = self.chunks[:, None]
        value = np.maximum(keys * share * chunks / c.slices, rows) + (chunks if c.local_sums else 0)
        engine = np.maximum(np.ceil(keys / c.topk_lanes), rows)
        engine = engine * np.where(self.dropped, c.engine.passes, 1)[:, None]
        vector = np.where(w.by_mass[:, None] > 0, np.maximum(engine, rows + d.MASS_VECTOR), engine)
        drain = np.maximum(w.dim / d.output_group(c) + 5 * w.gives_back + c.local_sums, 4) + (not c.local_sums)
        ratio = np.where((w.gives_back > 0) & self.dropped, d.RATIO, 0)
        floor = np.maximum.reduce([value, vector, np.broadcast_to(np.maximum.reduce(
            [drain, ratio, self.q_steps])[:, None], rows.shape)])
        held = chunks * rows + rows + SLOT + self.latency
        progressive = (w.k_lsb_bits > 0)[:, None]
        first = np.maximum(np.maximum(chunks * rows, floor), (held + np.where(progressive, d.DECISION + 5, 0)) / c.slots)
        again = np.maximum(np.maximum(chunks * rows, floor), held / c.slots)
        self.first = np.where(live, first, 0).sum(axis=1)
        self.again = np.where(live, again, 0).sum(axis=1) * w.flat
        self.score_only = np.where(live, chunks * rows, 0).sum(axis=1)
        self.value_only = np.where(live, np.maximum(value, drain[:, None]), 0).sum(axis=1)
        # While fills go on, slots are held longer.
        self.delay = DELAY + DELAY_PER_BEAT * c.pool_beats
        mean_held = (np.where(live, held, 0).sum(axis=1) / n[:, 0]) + np.where(progressive[:, 0], d.DECISION + 5, 0)
        mean = self.first / n[:, 0]
        slowed = np.maximum(mean, (mean_held + self.delay) / c.slots)
        self.filling = 1 - mean / slowed

    def run(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        w, c = self.w, self.c
        n = len(w)
        heads = np.rint(w.heads).astype(int)
        most = int(heads.max(initial=1))
        half = np.zeros((n, most + 2))
        fill_free = self.begin + 1
        scored = np.zeros(n)
        valued = np.zeros(n)
        progressive = w.k_lsb_bits > 0
        way = self.rows + d.SCORE - 20 + d.probabilities(c)
        kept_delay = self._kept_delay()
        fills = self.k_fill + self.v_fill
        left = np.zeros(n)
        for h in range(most):
            on = h < heads
            start = np.maximum(fill_free, half[:, h])
            k_there = start + self.k_fill + FILLED + self.latency - 1
            fill_end = start + fills
            # Fills of the next head follow at once if its half is free; Q comes behind what is under way.
            behind = np.where(half[:, h + 1] <= fill_end, fills, 0) * (h + 1 < heads)
            asked = np.maximum(k_there, scored - c.slots * 4)
            late = np.clip(fill_end + behind + 13 + self.latency - asked - 19, 0, self.delay)
            first = np.maximum(asked + ASKED + self.latency + late, scored)
            fill_free = np.where(on, fill_end, fill_free)
            busy = w.group * self.first
            spent = np.where(h + 1 < heads, np.minimum(fills, busy), 0) * self.filling
            end = first + busy + spent
            gap = self.rows + d.SCORE - 10 + d.DECISION + AGAIN + ASKED + self.latency
            flat = progressive & (w.flat > 0)
            end = end + np.where(flat, w.group * (gap * np.minimum(1, w.flat * w.tokens) + self.again), 0)
            end = end + np.where(flat & (w.flat_heads > 0), np.maximum(0, self.lsb_fill + FILLED - gap), 0)
            scored = np.where(on, end, scored)
            value_busy = w.group * self.value_only * (1 + 0 * w.flat)
            valued_at = np.maximum(np.maximum(valued, first) + value_busy, end)
            valued = np.where(on, valued_at, valued)
            left = valued + way + kept_delay + STORED + self.chunks
            half[:, h + 2] = np.where(on, left - d.OUTPUT, half[:, h + 2])
        probs = scored + way + self.rows
        kept = np.maximum(probs + kept_delay, left - STORED - self.chunks)
        return left, probs, kept

    def _kept_delay(self) -> np.ndarray:
        """From a vector's first probabilities to its first kept row."""
        w, c = self.w, self.c
        engine = d.engine_rows(w.tokens, self.rows, c)
        delay = self.rows + 2 * np.ceil(engine / 4) + d.TOPK + d.JOINED * (c.topk_lanes > c.slices)
        if c.engine.passes > 1:
            delay = self.rows + np.where(self.dropped, c.engine.passes * engine + 40, 8)
        return np.where(w.by_mass > 0, 3 * self.rows + d.MASS + 4 * d.tree(c), delay)
