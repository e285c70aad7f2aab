"""Bytes and rows that a job moves, for every sequence of a batch: what `GoldenAccelerator` counts one by one."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.host.results import BYTE_CLASSES, OPERAND_CLASSES
from spatten_hw.host.rows import row_beats
from spatten_hw.host.words import WORD_BYTES, survivor_words
from spatten_hw.interface.descriptor import HEADER_WORDS, SCALE_WORDS, scale_command_words

from .fetch import touched_beats


class Traffic:
    """Counts of one job: `bytes` by class and `rows` by operand class, each int64 [sequences].

    `heads` [sequences, alive], `ids` [sequences, alive]: who is alive.
    """

    def __init__(self, config: SpAttenConfig, job: LayerJob, heads: np.ndarray, ids: np.ndarray):
        self.config, self.job, self.heads, self.ids = config, job, heads, ids
        self.bytes = {name: np.zeros(len(ids), dtype=np.int64) for name in BYTE_CLASSES}
        self.rows = {name: np.zeros(len(ids), dtype=np.int64) for name in OPERAND_CLASSES}

    def all(self, again: np.ndarray, kept: np.ndarray, listed: np.ndarray, descriptor: int) -> None:
        """Everything a job moves. `again` [sequences, heads, group, rows]: rows that fetched LSBs; `kept` […, rows,
        alive]: values used; `listed` [sequences, heads, alive]: keys whose LSBs were read."""
        job, c = self.job, self.config
        self._state(descriptor)
        items, keys = again[0].size, self.heads.shape[1] * self.ids.shape[1]
        flat = again.any(axis=(2, 3)).sum(axis=1) * self.ids.shape[1]
        self._add("q", items + (0 if job.generate else again.sum(axis=(1, 2, 3))))
        self._add("k_msb", keys)
        if job.k_lsb:
            self._add("k_lsb", listed.sum(axis=(1, 2)))
        self._add("v_msb", kept.any(axis=(2, 3)).sum(axis=(1, 2)) if job.generate else keys)
        if job.v_lsb:
            of_flat = (kept & again[..., None]).any(axis=(2, 3)).sum(axis=(1, 2)) if job.generate else flat
            self._add("v_lsb", of_flat)
        self.bytes["out"] += items * row_beats(job.dim, OUT_BITS, c) * c.beat_bytes

    def _add(self, name: str, rows: np.ndarray | int) -> None:
        """Adds rows [sequences] of a plane: whole beats."""
        self.bytes[name] += rows * row_beats(self.job.dim, self.job.width(name), self.config) * self.config.beat_bytes
        self.rows[name] += rows

    def _state(self, descriptor: int) -> None:
        job = self.job
        scales, longest = SCALE_WORDS * job.query_heads, scale_command_words(self.config)
        words = [(descriptor, HEADER_WORDS)]
        words += [(descriptor + WORD_BYTES * (HEADER_WORDS + at), min(longest, scales - at))
                  for at in range(0, scales, longest)]
        if job.store_ids:
            words.append((job.ids_out, survivor_words(job.tokens, job.heads)))
        if job.store_scores:
            words.append((job.scores_out, job.tokens + job.heads))
        beats = sum(int(touched_beats(addr, WORD_BYTES * count, self.config)) for addr, count in words)
        self.bytes["other"] += beats * self.config.beat_bytes
