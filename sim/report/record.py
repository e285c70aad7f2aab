"""What a report shows, apart from where it came from: plain values, checked, and their JSON.

A run has sequences (sentences, prompts), a sequence steps (one in summarisation; in generation one per token, maybe
preceded by the prompt's), a step layers. Units: importance is real (`docs/workloads.md`), the rest are counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: What the importance of an engine is. The hardware keeps it inside and stores it at the end only.
SOURCES = {
    "float": "float64",
    "golden": "the integers of the golden model, made real",
    "rtl": "the integers of the golden model, made real; the hardware ran beside it and was compared bit for bit",
}


def _ids(what: str, ids: Sequence[int], limit: int) -> None:
    if list(ids) != sorted(set(ids)) or (ids and not 0 <= ids[0] <= ids[-1] < limit):
        raise ValueError(f"{what}: ids must ascend within 0 … {limit - 1}")


@dataclass(frozen=True)
class LayerRecord:
    """One layer of a step.

    `alive`: ids of the tokens that took part, ascending. `importance`: of the first so many tokens (those that exist
    in this step) by id, cumulative, after the layer; a pruned token keeps what it had. `heads`: K/V heads there are,
    `heads_alive` those that took part, `head_importance` of all of them after the layer. `queries`: query rows
    computed over all heads, `refetched` of those fetched LSBs. `bytes` moved by class, `dense_bytes` of the same
    layer dense in 12 bits, `cycles`: None where the engine has none.
    """

    layer: int
    alive: tuple[int, ...]
    importance: tuple[float, ...] | None
    heads: int
    heads_alive: tuple[int, ...]
    head_importance: tuple[float, ...] | None
    queries: int
    refetched: int
    bytes: dict[str, int] | None = None
    dense_bytes: int | None = None
    cycles: int | None = None

    def __post_init__(self) -> None:
        _ids("heads_alive", self.heads_alive, self.heads)
        if self.head_importance is not None and len(self.head_importance) != self.heads:
            raise ValueError(f"head_importance: {len(self.head_importance)} values for {self.heads} heads")
        if not 0 <= self.refetched <= self.queries:
            raise ValueError(f"refetched: {self.refetched} of {self.queries} queries")


@dataclass(frozen=True)
class StepRecord:
    """One pass through the layers. `name`: what a reader calls it, for instance "prompt" or "token 12"."""

    name: str
    layers: tuple[LayerRecord, ...]

    def __post_init__(self) -> None:
        if not self.layers or [x.layer for x in self.layers] != list(range(len(self.layers))):
            raise ValueError(f"{self.name}: layers must be there, numbered from 0")


@dataclass(frozen=True)
class SequenceRecord:
    """One text: `tokens` by id, all that exist at the end. `note`: a line of text about its result, or empty."""

    label: str
    tokens: tuple[str, ...]
    steps: tuple[StepRecord, ...]
    note: str = ""

    def __post_init__(self) -> None:
        if not self.tokens or not self.steps:
            raise ValueError(f"{self.label}: a sequence needs tokens and steps")
        for step in self.steps:
            for layer in step.layers:
                _ids("alive", layer.alive, len(self.tokens))
                known = len(self.tokens) if layer.importance is None else len(layer.importance)
                if known > len(self.tokens) or (layer.alive and layer.alive[-1] >= known):
                    raise ValueError(f"{self.label}, {step.name}, layer {layer.layer}: importance of {known} tokens "
                                     f"for {len(self.tokens)}, of which {layer.alive[-1:]} is alive")


@dataclass(frozen=True)
class RunRecord:
    """A run. `engine`: "rtl", "golden" or "float"; `config_hash`: 8 hex digits; `bit_exact`: whether the hardware
    equalled the golden model, None if it did not run."""

    title: str
    engine: str
    preset: str
    config_hash: str
    bit_exact: bool | None
    sequences: tuple[SequenceRecord, ...]

    def __post_init__(self) -> None:
        if not self.sequences:
            raise ValueError("a run needs a sequence")
        if self.engine not in SOURCES:
            raise ValueError(f"engine: {self.engine!r} is none of {', '.join(SOURCES)}")

    @property
    def importance_source(self) -> str:
        """Where importance comes from, in words."""
        return SOURCES[self.engine]

    def as_json(self) -> dict[str, Any]:
        """The fields by name, tuples as lists, and `importance_source`."""
        return {**asdict(self), "importance_source": self.importance_source}
