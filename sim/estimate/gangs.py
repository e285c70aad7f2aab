"""The gangs of generation jobs: keys of each slice, who is flat, costs of a row; rings of numbers."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

from .spread import class_counts, normal_scores
from .steps import row_steps
from .traffic import row_beats
from .work import Work


class Gangs:
    """Of N jobs. `counts` [N, S]: tokens alive by slice for head 0; `count` [N]: gangs of each job, `most` of them at
    most; `is_flat` [N, most]: those with flat members."""

    def __init__(self, work: Work, config: SpAttenConfig):
        self.work, self.config = w, c = work, config
        self.counts = class_counts(w, c)
        self.count = np.rint(w.heads).astype(int)
        self.most = int(self.count.max(initial=1))
        self.chunks = w.dim / c.chunk
        self.q_beats, self.k_beats, self.k_lsb_beats, self.v_beats, self.v_lsb_beats = (
            row_beats(w.dim, bits, c) for bits in (w.q_bits, w.k_bits, w.k_lsb_bits, w.v_bits, w.v_lsb_bits))
        self.q_steps = row_steps(w.dim, w.q_bits, c)
        self.k_steps, self.k_lsb_steps, self.v_steps, self.v_lsb_steps = (
            row_steps(w.dim, bits, c) for bits in (w.k_bits, w.k_lsb_bits, w.v_bits, w.v_lsb_bits))
        #: Cycles of a walk for MSBs, whatever binds.
        self.walk_cycles = w.tokens / c.slices * np.maximum.reduce(
            [self.k_beats * c.slices_per_channel, self.k_steps, w.group * self.chunks])
        # Gangs with flat members are spread evenly.
        share = np.where(w.k_lsb_bits > 0, w.flat_heads, 0)
        upto = np.floor(np.arange(self.most + 1) * share[:, None] + 0.5 * (share[:, None] < 1) + 1e-9)
        spread = np.where(share > 0, w.flat * w.group / np.maximum(w.flat_heads, 1e-9), 0)[:, None]
        flats = w.flats[:, :self.most]
        #: Flat members of every gang [N, most].
        self.flats = np.where(np.isnan(flats), np.where(np.diff(upto, axis=1) > 0, spread, 0),
                              np.where(w.k_lsb_bits[:, None] > 0, flats, 0))
        self.is_flat = self.flats > 0
        # Where values are chosen, their number varies from slice to slice.
        s, union = c.slices, w.union
        self._deviation = np.sqrt(np.maximum(0, union / s * (1 - 1 / s) * (1 - union / w.tokens)))[:, None]
        self._scores = normal_scores(s)

    def flat_members(self, gang: np.ndarray) -> np.ndarray:
        """Flat members [N] of a gang of each job."""
        return self.flats[np.arange(len(gang)), gang]

    def keys(self, gang: np.ndarray) -> np.ndarray:
        """Keys of each slice [N, S]: the classes, turned by the head."""
        s = self.config.slices
        return np.take_along_axis(self.counts, (np.arange(s)[None, :] - gang[:, None]) % s, axis=1)

    def values(self, gang: np.ndarray) -> np.ndarray:
        """V rows of each slice [N, S]."""
        keys = self.keys(gang)
        turn = (np.arange(self.config.slices)[None, :] + 5 * gang[:, None]) % self.config.slices
        mean = keys * (self.work.union / self.work.tokens)[:, None]
        return np.clip(mean + self._deviation * self._scores[turn], 0, keys)

    def of_channels(self, of_slices: np.ndarray) -> np.ndarray:
        """Work of slices [N, S] → of the channel of each: slice s is on channel s mod C."""
        c = self.config
        if c.slices == c.channels:
            return of_slices
        total = of_slices.reshape(len(of_slices), -1, c.channels).sum(axis=1)
        return np.tile(total, (1, c.slices_per_channel))


def back_to(times: np.ndarray, number: np.ndarray, group: np.ndarray, size: int) -> np.ndarray:
    """When gang `number` of each job finds its members' places in a ring of `size`: when the gang has left that had
    them before; `times` [N, gangs] say when each has left. The first ones find the ring empty."""
    before = np.ceil(((number + 1) * group - size) / group).astype(int) - 1
    at = times[np.arange(len(times)), np.clip(before, 0, times.shape[1] - 1)]
    return np.where(before >= 0, at, -np.inf)
