"""What a point costs: bytes, multiply-accumulates, LSB fetches and largest probabilities, added up over its jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatten_hw.config import PROB_BITS
from spatten_hw.host.results import BYTE_CLASSES
from spatten_hw.sim.golden.batch import BatchResult

#: Bins of the largest probability of a row, equally wide over 0 … 1.
BINS = 20
ONE = 1 << PROB_BITS


def bins_of(pmax: np.ndarray) -> np.ndarray:
    """The bin of every largest probability, LSB 2^−12."""
    return np.minimum(pmax.reshape(-1) * BINS // ONE, BINS - 1)


@dataclass
class Tally:
    """Sums over sequences, layers and steps."""

    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BYTE_CLASSES, 0))
    macs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("scores", "replays", "values"), 0))
    queries: int = 0
    refetched: int = 0
    pmax_rows: np.ndarray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    pmax_sum: int = 0
    error_rows: np.ndarray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    error_sum: np.ndarray = field(default_factory=lambda: np.zeros(BINS))

    def add(self, r: BatchResult) -> None:
        """Adds a job of a batch."""
        for name in BYTE_CLASSES:
            self.bytes[name] += int(r.bytes[name].sum())
        for name in self.macs:
            self.macs[name] += int(r.macs[name].sum())
        self.queries += int(r.written.sum())
        self.refetched += int(r.refetched.sum())
        self.pmax_rows += np.bincount(bins_of(r.pmax), minlength=BINS)
        self.pmax_sum += int(r.pmax.sum())

    def watch(self, rough: np.ndarray, exact: np.ndarray, pmax: np.ndarray) -> None:
        """Adds the error of rows' probabilities from K's MSBs alone (`BatchAccelerator.watch`): Σ |difference| of a
        row, by the largest probability that the hardware decides on."""
        where = bins_of(pmax)
        self.error_rows += np.bincount(where, minlength=BINS)
        self.error_sum += np.bincount(where, weights=np.abs(rough - exact).sum(axis=1) / ONE, minlength=BINS)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            {name: n + other.bytes[name] for name, n in self.bytes.items()},
            {name: n + other.macs[name] for name, n in self.macs.items()},
            self.queries + other.queries, self.refetched + other.refetched, self.pmax_rows + other.pmax_rows,
            self.pmax_sum + other.pmax_sum, self.error_rows + other.error_rows, self.error_sum + other.error_sum)

    def record(self, dense_bytes: int, dense_macs: int) -> dict[str, object]:
        """As it goes to JSON; ratios are parts of the dense counts."""
        total, macs = sum(self.bytes.values()), sum(self.macs.values())
        result: dict[str, object] = {
            "bytes": dict(self.bytes), "total_bytes": total, "dense_bytes": dense_bytes,
            "byte_ratio": total / dense_bytes,
            "macs": dict(self.macs), "dense_macs": dense_macs, "mac_ratio": macs / dense_macs,
            "queries": self.queries, "refetched": self.refetched, "refetch_rate": self.refetched / self.queries,
            "pmax": {"mean": self.pmax_sum / ONE / self.queries, "rows_by_bin": self.pmax_rows.tolist()},
        }
        if self.error_rows.any():
            mean = np.divide(self.error_sum, self.error_rows, out=np.zeros(BINS), where=self.error_rows > 0)
            result["errors"] = {"rows_by_bin": self.error_rows.tolist(), "mean_by_bin": mean.tolist()}
        return result
