"""The grids: every axis swept alone from a base, and combinations where the best points are expected.

Not a full product: that would be some ten thousand points. The bases are 8-bit static without pruning (encoder and
classifier; Q as wide as K) and the same with Q in 12 bits (decoder, where Q is one row in some 400). Token and head
ratios are parts kept in every layer after the paper's front, values parts kept per query.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from .language_grid import language_grid
from .point import Point
from .series import Series

STATIC = (4, 6, 8, 10, 12)
PROGRESSIVE = ((4, 4), (6, 4), (8, 4))


@dataclass(frozen=True)
class _Axes:
    """Of a model that sees a whole text: its heads, how many of them are kept (and in a quick grid), thresholds, and
    the combinations of widths, of what becomes of dropped tokens, and of parts of heads and values kept."""

    every_head: int
    heads: tuple[int, ...]
    few_heads: tuple[int, ...]
    thresholds: tuple[float, ...]
    bits: tuple[tuple[int, int], ...]
    pooled: tuple[bool, ...]
    kept_heads: tuple[float, ...]
    values: tuple[float, ...]


#: The classifier's texts are too few for finer steps; four bits, half of the heads and six tenths of the
#: values cost it next to nothing that they show.
AXES = {"encoder": _Axes(12, (11, 10, 8, 6), (10, 6), (0.0, 0.05, 0.1, 0.2, 0.3, 0.5), ((8, 0), (6, 0)),
                         (False, True), (1.0,), (1.0, 0.6)),
        "classifier": _Axes(4, (3, 2), (3, 2), (0.0, 0.1, 0.3), ((6, 0), (4, 0)), (False,), (1.0, 0.5), (0.6,))}


def default_grid(model: str, quick: bool = False) -> list[Series]:
    """The series of `model`; a point may be in more than one."""
    if model in AXES:
        return _encoder(model, quick)
    return (_decoder if model == "decoder" else language_grid)(quick)


def own_grid(points: list[Point]) -> list[Series]:
    """A user's points as one series."""
    return [Series("points", tuple(points), curve=False)]


def unique(series: list[Series]) -> list[Point]:
    """All points of a grid, each once."""
    return list(dict.fromkeys(p for s in series for p in s.points))


def _bits(base: Point, thresholds: tuple[float, ...], q_bits: int, quick: bool) -> list[Series]:
    result = [Series("static", tuple(replace(base, bits=(b, 0)) for b in (STATIC[::2] if quick else STATIC)))]
    for msb, lsb in PROGRESSIVE[1:2] if quick else PROGRESSIVE:
        result.append(Series(f"{msb}+{lsb}", tuple(
            replace(base, bits=(msb, lsb), q_bits=q_bits, threshold=t) for t in thresholds)))
    return result


def _encoder(model: str, quick: bool) -> list[Series]:
    base, axes = Point(model), AXES[model]
    thresholds = (0.0, 0.1, 0.3) if quick else axes.thresholds
    tokens = (0.9, 0.6) if quick else (0.95, 0.9, 0.8, 0.6, 0.4)
    values = (0.5, 0.2) if quick else (0.8, 0.6, 0.4, 0.3, 0.2, 0.1)
    result = [
        *_bits(base, thresholds, 0, quick),
        Series("tokens", (base, *(replace(base, keep_tokens=(t, t)) for t in tokens))),
        Series("tokens, all pooled", (base, *(
            replace(base, keep_tokens=(t, t), pool_dropped=True) for t in tokens))),
        # Q is read once, as K and V are: its width is an axis of its own.
        Series("K and V in 4 bit, Q wider", tuple(replace(base, bits=(4, 0), q_bits=q) for q in (6, 8))),
        Series("heads", (base, *(replace(base, keep_heads=(h / axes.every_head, h / axes.every_head))
                                 for h in (axes.few_heads if quick else axes.heads)))),
        Series("values", (base, *(replace(base, keep_values=v) for v in values))),
    ]
    combined = product(axes.bits, ((1.0, 0.95), (1.0, 0.8)), axes.pooled, axes.kept_heads,
                       axes.values)
    if not quick:
        result.append(Series("combined", tuple(
            replace(base, bits=b, keep_tokens=t, keep_heads=(h, h), keep_values=v, pool_dropped=pooled)
            for b, t, pooled, h, v in combined), curve=False))
    return result


def _decoder(quick: bool) -> list[Series]:
    base = Point("decoder", q_bits=12)
    exact = Point("decoder", None)
    thresholds = (0.0, 0.1, 0.3) if quick else (0.0, 0.1, 0.2, 0.3, 0.5)
    tokens = (0.8, 0.5) if quick else (0.9, 0.8, 0.7, 0.5, 0.3)
    heads = (7, 4) if quick else (7, 6, 4)
    values = (0.3, 0.1) if quick else (0.6, 0.4, 0.3, 0.2, 0.1)

    def pruned(of: Point, ratios: tuple[float, ...] = tokens) -> tuple[Point, ...]:
        return of, *(replace(of, keep_tokens=(t, t), protect_last=32) for t in ratios)

    result = [
        *_bits(base, thresholds, 12, quick),
        Series("tokens", pruned(base)),
        Series("tokens, float64", pruned(exact, tokens[1::2])),
        Series("heads", (base, *(replace(base, keep_heads=(h / 8, h / 8)) for h in heads))),
        Series("values", (base, *(replace(base, keep_values=v) for v in values))),
    ]
    if not quick:
        result.append(Series("newest tokens kept", tuple(
            replace(base, keep_tokens=(0.5, 0.5), protect_last=n) for n in (1, 8, 32, 64))))
        combined = product(((4, 0), (4, 4), (6, 0)), (1.0, 0.9, 0.8), (0.4, 0.25))
        result.append(Series("combined", tuple(
            replace(base, bits=b, keep_tokens=(t, t), keep_values=v, protect_last=32) for b, t, v in combined),
            curve=False))
    return result
