"""The points of a sweep: the product of what its sections may be, or draws from it."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence

from spatten_hw.errors import UserError

from .values import Choices

#: Section → its alternatives, each field → choices.
Space = Mapping[str, Sequence[Mapping[str, Choices]]]
#: Section → field → value.
Values = dict[str, dict[str, object]]
#: Most points of a sweep.
MOST_POINTS = 1_000_000


def points(source: str, space: Space, draws: int, seed: int) -> Iterator[Values]:
    """All points of the product if `draws` is 0, else so many of it; the same for the same arguments. Raises
    `UserError` with `source` if that cannot be."""
    if draws:
        yield from _drawn(space, draws, seed)
        return
    for section, alternatives in space.items():
        for fields in alternatives:
            for name, found in fields.items():
                if not found.listed:
                    raise UserError(f"{source}: {section}.{name}: a range without step or times has no end of values; "
                                    "give step or times, or draws = N for random points")
    count = math.prod(sum(math.prod(len(c.listed) for c in fields.values()) for fields in alternatives)
                      for alternatives in space.values())
    if count > MOST_POINTS:
        raise UserError(f"{source}: has {count:,} points, at most {MOST_POINTS:,} are measured; give draws = N for "
                        "random ones of them")
    for chosen in itertools.product(*(list(_grid(alternatives)) for alternatives in space.values())):
        yield {section: dict(values) for section, values in zip(space, chosen, strict=True)}


def _grid(alternatives: Sequence[Mapping[str, Choices]]) -> Iterator[dict[str, object]]:
    """Every setting of a section, the first field slowest."""
    for fields in alternatives:
        for values in itertools.product(*(c.listed for c in fields.values())):
            yield dict(zip(fields, values, strict=True))


def _drawn(space: Space, draws: int, seed: int) -> Iterator[Values]:
    """Point n depends on seed and n alone: more draws leave the first ones as they were."""
    for n in range(draws):
        rng = random.Random(f"sweep {seed} {n}")
        yield {section: {name: c.draw(rng) for name, c in rng.choice(list(alternatives)).items()}
               for section, alternatives in space.items()}
