"""Bytes and rows that a layer job moves: whole beats, by class."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.host.rows import row_beats
from spatten_hw.host.words import WORD_BYTES

from .fetch import touched_beats
from .layer_result import LayerResult


class BytesMoved:
    """Counts what `job` moves on a build of `config` into `result`."""

    def __init__(self, config: SpAttenConfig, job: LayerJob, result: LayerResult):
        self.config, self.job, self.result = config, job, result

    def gang(self, keys: int, again: np.ndarray, kept: np.ndarray, listed: int) -> None:
        """The rows that the queries of a K/V head read which share rows of K and V: all of a prompt's, a block of
        generation's. `keys`: of the query that sees most; `again` [group, rows]: queries that fetched LSBs; `kept`
        [group, rows, alive]: values used; `listed`: keys whose LSBs flat ones take."""
        job = self.job
        flat_queries = int(again.sum())
        # A flat query of a prompt starts anew, with its Q row.
        self._rows("q", again.size + (0 if job.generate else flat_queries))
        self._rows("k_msb", keys)
        self._rows("k_lsb", listed if flat_queries else 0)
        if job.generate:
            self._rows("v_msb", int(kept.any(axis=(0, 1)).sum()))
            v_lsb = int(kept[again].any(axis=0).sum())
        else:
            self._rows("v_msb", keys)
            v_lsb = keys if flat_queries else 0
        self._rows("v_lsb", v_lsb if job.v_lsb else 0)
        self.result.bytes["out"] += again.size * row_beats(job.dim, OUT_BITS, self.config) * self.config.beat_bytes

    def section(self, addr: int, words: int, longest: int) -> None:
        """Words that are read in commands of at most `longest`."""
        for at in range(0, words, longest):
            self.words(addr + WORD_BYTES * at, min(longest, words - at))

    def words(self, addr: int, words: int) -> None:
        """64-bit words read as one command, or written as one section, at `addr`."""
        beats = int(touched_beats(addr, WORD_BYTES * words, self.config))
        self.result.bytes["other"] += beats * self.config.beat_bytes

    def _rows(self, name: str, rows: int) -> None:
        """Rows of one plane."""
        job, c = self.job, self.config
        self.result.bytes[name] += rows * row_beats(job.dim, job.width(name), c) * c.beat_bytes
        self.result.rows[name] += rows
