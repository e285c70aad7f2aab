"""Sums of what layers cost: over steps, over layers, over sequences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spatten_hw.host.results import BYTE_CLASSES

from .record import LayerRecord, RunRecord, SequenceRecord


@dataclass(frozen=True)
class Cost:
    """Query rows, those of them that fetched LSBs, bytes by class, dense bytes, cycles; the last three None if any
    layer has none."""

    queries: int
    refetched: int
    bytes: dict[str, int] | None
    dense_bytes: int | None
    cycles: int | None

    @property
    def moved(self) -> int:
        """Bytes of all classes."""
        return sum((self.bytes or {}).values())

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(vars(self))


def cost(layers: Iterable[LayerRecord]) -> Cost:
    """The sum of `layers`."""
    them = list(layers)
    every_bytes = [x.bytes for x in them]
    known = [b for b in every_bytes if b is not None]
    names = [*BYTE_CLASSES, *sorted({n for b in known for n in b} - set(BYTE_CLASSES))]
    return Cost(
        sum(x.queries for x in them), sum(x.refetched for x in them),
        {n: sum(b.get(n, 0) for b in known) for n in names} if known and len(known) == len(them) else None,
        _sum(x.dense_bytes for x in them), _sum(x.cycles for x in them))


def _sum(values: Iterable[int | None]) -> int | None:
    them = list(values)
    known = [v for v in them if v is not None]
    return sum(known) if known and len(known) == len(them) else None


def of_sequence(sequence: SequenceRecord) -> Cost:
    """Over all steps and layers."""
    return cost(layer for step in sequence.steps for layer in step.layers)


def of_run(record: RunRecord) -> Cost:
    """Over everything."""
    return cost(layer for q in record.sequences for step in q.steps for layer in step.layers)


def per_step(sequence: SequenceRecord) -> list[Cost]:
    """Over the layers of each step."""
    return [cost(step.layers) for step in sequence.steps]


def per_layer(sequences: Iterable[SequenceRecord]) -> dict[int, Cost]:
    """By layer, ascending, over all steps of all sequences."""
    layers: dict[int, list[LayerRecord]] = {}
    for sequence in sequences:
        for step in sequence.steps:
            for layer in step.layers:
                layers.setdefault(layer.layer, []).append(layer)
    return {n: cost(layers[n]) for n in sorted(layers)}
