"""What the attention of forward passes cost and lost, as a small object and as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.results import BYTE_CLASSES, LayerStats

from .options import AttentionOptions


@dataclass(frozen=True)
class Entry:
    """One layer of one sequence in forward pass `forward`; `stats.step`: 0 the prompt, then the generation steps."""

    forward: int
    sequence: int
    stats: LayerStats
    clipped: int
    saturated: int


@dataclass(frozen=True)
class Report:
    """The sums over some forward passes and all layers of theirs.

    `bytes`: memory traffic by class (None: the float engine moves none); `dense_bytes`: of the same attention dense in
    12 bits; `queries`: query rows computed, `refetched` of them fetched LSBs; `clipped`: elements beyond their scale;
    `saturated`: outputs at the end of their 16 bits (if not 0, set `value_peak`); `value_peak`: largest magnitude in V.
    """

    config: SpAttenConfig
    options: AttentionOptions
    entries: tuple[Entry, ...]
    dense_bytes: int
    value_peak: float

    @property
    def bytes(self) -> dict[str, int] | None:
        if any(e.stats.bytes is None for e in self.entries):
            return None
        return {k: sum((e.stats.bytes or {})[k] for e in self.entries) for k in BYTE_CLASSES}

    @property
    def forward_passes(self) -> int:
        return len({e.forward for e in self.entries})

    def total(self, name: str) -> int:
        """The sum of "queries", "refetched" (of layers), "clipped" or "saturated"."""
        return sum(getattr(e if hasattr(e, name) else e.stats, name) for e in self.entries)

    @property
    def json(self) -> dict[str, object]:
        """Everything, as plain values."""
        return {
            "engine": self.options.engine, "preset": self.config.name, "config_hash": f"{self.config.hash:08x}",
            "forward_passes": self.forward_passes, "bytes": self.bytes, "dense_bytes": self.dense_bytes,
            **{name: self.total(name) for name in ("queries", "refetched", "clipped", "saturated")},
            "value_peak": self.value_peak,
            "layers": [{"forward": e.forward, "sequence": e.sequence, **dataclasses.asdict(e.stats)}
                       for e in self.entries],
        }
