"""Bytes and rows that a job moves, for every sequence of a batch: what `GoldenAccelerator` counts one by one."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.host.layout import WORD_BYTES, row_bytes
from spatten_hw.host.results import BYTE_CLASSES, OPERAND_CLASSES
from spatten_hw.interface.descriptor import HEADER_WORDS, SCALE_WORDS, scale_command_words

from .fetch import row_beats


class Traffic:
    """Counts of one job: `bytes` by class and `rows` by operand class, each int64 [sequences].

    `heads` [sequences, alive], `ids` [sequences, alive]: who is alive.
    """

    def __init__(self, config: SpAttenConfig, job: LayerJob, heads: np.ndarray, ids: np.ndarray):
        self.config, self.job, self.heads, self.ids = config, job, heads, ids
        self.bytes = {name: np.zeros(len(ids), dtype=np.int64) for name in BYTE_CLASSES}
        self.rows = {name: np.zeros(len(ids), dtype=np.int64) for name in OPERAND_CLASSES}

    def all(self, lengths: np.ndarray, again: np.ndarray, kept: np.ndarray, descriptor: int) -> None:
        """Everything a job moves. `lengths` [rows]: keys of every query; `again` [sequences, heads, group, rows]: rows
        that fetched LSBs; `kept` […, rows, alive]: values used."""
        job = self.job
        self._state(descriptor)
        self._queries(again.shape[3])
        self._keys()
        one = np.ones((*self.heads.shape, self.ids.shape[1]), dtype=np.int64)
        # How often the K LSB rows of each head are read: position t by flat rows longer than t.
        longer = np.arange(self.ids.shape[1]) < lengths[:, None]
        if job.k_lsb:
            self._add("k_lsb", np.einsum("bhr,rt->bht", again.sum(axis=2), longer))
        flat_uses = (kept & again[..., None]).sum(axis=(2, 3)) if again.any() else 0 * one
        self._add("v_msb", kept.sum(axis=(2, 3)) if job.generate else one + flat_uses)
        if job.v_lsb:
            self._add("v_lsb", flat_uses)
        row = -(-OUT_BITS // 8 * job.dim // self.config.beat_bytes) * self.config.beat_bytes
        self.bytes["out"] += self.heads.shape[1] * job.group * again.shape[3] * row

    def _beats(self, name: str, heads: int, count: int, together: int = 1) -> np.ndarray:
        """Beats of the row of every (head, token) of a plane; `together`: rows side by side read as one."""
        job = self.job
        offsets = np.array([job.head_offset(name, h) for h in range(heads)], dtype=np.int64)
        addr = getattr(job, f"{name}_base") + offsets[:, None] \
            + np.arange(count, dtype=np.int64) * getattr(job, f"{name}_token_stride")
        return row_beats(addr, together * row_bytes(job.dim, job.width(name)), self.config)

    def _add(self, name: str, uses: np.ndarray, beats: np.ndarray | None = None, together: int = 1) -> None:
        """Adds rows of a plane: `uses` [sequences, alive heads, alive tokens] times each."""
        table = self._beats(name, self.job.heads, self.job.tokens) if beats is None else beats
        total = uses.sum(axis=(1, 2))
        if table.min() == table.max():
            read = total * table.flat[0]
        else:
            read = (uses * table[self.heads[:, :, None], self.ids[:, None, :]]).sum(axis=(1, 2))
        self.bytes[name] += read * self.config.beat_bytes
        self.rows[name] += together * total

    def _queries(self, rows: int) -> None:
        job = self.job
        table = self._beats("q", job.query_heads, 1 if job.generate else job.tokens)
        members = (self.heads[:, :, None] * job.group + np.arange(job.group)).reshape(len(self.heads), -1)
        place = np.zeros((len(self.ids), 1), dtype=np.int64) if job.generate else self.ids
        read = table[members[:, :, None], place[:, None, :]].sum(axis=(1, 2))
        self.bytes["q"] += read * self.config.beat_bytes
        self.rows["q"] += members.shape[1] * rows

    def _keys(self) -> None:
        """K's MSB rows. Generation reads both rows of a pair at once, if both heads are alive."""
        job = self.job
        one = np.ones((*self.heads.shape, self.ids.shape[1]), dtype=np.int64)
        if not (job.pair and job.generate):
            self._add("k_msb", one)
            return
        partner = (self.heads[:, :, None] ^ 1 == self.heads[:, None, :]).any(axis=2)
        self._add("k_msb", one * ~partner[:, :, None])
        leading = partner & (self.heads % 2 == 0)
        self._add("k_msb", one * leading[:, :, None], self._beats("k_msb", job.heads, job.tokens, 2), together=2)

    def _state(self, descriptor: int) -> None:
        job = self.job
        scales, longest = SCALE_WORDS * job.query_heads, scale_command_words(self.config)
        words = [(descriptor, HEADER_WORDS)]
        words += [(descriptor + WORD_BYTES * (HEADER_WORDS + at), min(longest, scales - at))
                  for at in range(0, scales, longest)]
        if job.store_ids:
            words.append((job.ids_out, 1 + self.ids.shape[1] + self.heads.shape[1]))
        if job.store_scores:
            words.append((job.scores_out, job.tokens + job.heads))
        beats = sum(int(row_beats(addr, WORD_BYTES * count, self.config)) for addr, count in words)
        self.bytes["other"] += beats * self.config.beat_bytes
