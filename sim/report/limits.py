"""What of a large run a page shows, so that it stays a few megabytes and quick: and what it says it leaves out.

Sums are always over everything; pictures and values per token are of some sequences, steps and layers, chosen evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

from .record import RunRecord, SequenceRecord
from .text import plural

#: Sequences with pictures.
SEQUENCES = 12
#: Values per token (layers × tokens × steps) in the page, shared among the sequences; about 12 bytes each.
VALUES = 200_000
#: Words drawn (layers × tokens), over all sequences; and in one row, the rest being cut out of its middle.
WORDS = 24_000
ROW = 2_000
#: Columns of a heat map: more tokens are put together.
COLUMNS = 250
#: Rows of a table of bars.
BARS = 48


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` numbers, evenly, the first and the last among them; the last alone if `most` is 1."""
    if count <= most:
        return list(range(count))
    if most <= 1:
        return [count - 1]
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def groups(count: int, most: int) -> list[range]:
    """`count` neighbours in at most `most` groups of one size (the last may be smaller)."""
    width = -(-count // most)
    return [range(i, min(i + width, count)) for i in range(0, count, width)]


@dataclass(frozen=True)
class Shown:
    """What is shown of a sequence: `steps` (indices) with values per token; of each the layers (indices) drawn as
    words and the `words` (token ids) in a row; heat map columns."""

    sequence: SequenceRecord
    steps: list[int]
    layers: list[int]
    words: list[int]
    columns: list[range]


@dataclass(frozen=True)
class Selection:
    """The parts shown of a run, and in words what is left out."""

    parts: list[Shown]
    left_out: list[str]


def select(record: RunRecord) -> Selection:
    """What a page shows of `record`."""
    chosen = [record.sequences[i] for i in spread(len(record.sequences), SEQUENCES)]
    left_out = []
    if len(chosen) < len(record.sequences):
        left_out.append(f"pictures of {len(chosen)} of {len(record.sequences):,} sequences")
    parts = []
    for sequence in chosen:
        part, words = _select(sequence, len(chosen))
        parts.append(part)
        left_out += [f"{sequence.label}: {w}" if len(chosen) > 1 else w for w in words]
    return Selection(parts, left_out)


def _select(sequence: SequenceRecord, shares: int) -> tuple[Shown, list[str]]:
    tokens, layers = len(sequence.tokens), max(len(s.layers) for s in sequence.steps)
    steps = spread(len(sequence.steps), max(1, VALUES // shares // (tokens * layers)))
    words = list(range(tokens))
    if tokens > ROW:
        words = words[:ROW // 2] + words[-(ROW // 2):]
    rows = spread(layers, max(2, WORDS // shares // len(words)))
    columns = groups(tokens, COLUMNS)
    said = []
    if len(steps) < len(sequence.steps):
        said.append(f"survivors and importance of {len(steps)} of {plural(len(sequence.steps), 'step')}")
    if len(rows) < layers:
        said.append(f"words of {len(rows)} of {plural(layers, 'layer')}")
    if len(words) < tokens:
        said.append(f"words of {len(words):,} of {plural(tokens, 'token')} (the middle is cut out)")
    if len(columns) < tokens:
        said.append(f"a heat map column is {len(columns[0])} tokens, the most important of them that is alive")
    return Shown(sequence, steps, rows, words, columns), said
