"""Chunks: the pieces in which the bit-width converter takes the words of a row.

A section of a row has E elements, as many as a word has bytes. A chunk is one section where elements are of 8 bits or
more, else two; of narrower ones it takes two so as not to be shorter than a word. So a word never completes more than
one chunk, and rows of 2^n elements are whole numbers of chunks, or one that is not filled.
"""

from __future__ import annotations

from ..config import SpAttenConfig
from .conversion import plane_widths

#: Widest elements of which a chunk has two sections.
NARROW = 6
#: Parts of a word in which places of chunks are told: every chunk is a whole number of them.
QUARTERS = 4


def section_elements(c: SpAttenConfig) -> int:
    """Elements of a section: E, or of the longest row if that is shorter."""
    return min(c.beat_bytes, c.max_dim)


def chunk_elements(c: SpAttenConfig, width: int) -> int:
    """Elements of `width` bits in a chunk."""
    return min(c.max_dim, (2 if width <= NARROW else 1) * section_elements(c))


def chunk_quarters(width: int) -> int:
    """Quarters of a word in a chunk of elements of `width` bits: 4 … 8."""
    return width if width <= NARROW else width // 2


def chunk_places(c: SpAttenConfig, words: int) -> dict[int, int]:
    """Where in the last `words` words a chunk can begin, in quarters → the bits that may be needed from there.

    As words come, what waits of a row is less than a chunk; with the next word it is one, or the row ends.
    """
    places: dict[int, int] = {}
    for width in plane_widths(c):
        wanted, waiting = chunk_quarters(width), 0
        while True:
            there = waiting + QUARTERS
            start = words * QUARTERS - there
            places[start] = max(places.get(start, 0), width * chunk_elements(c, width))
            waiting = there - wanted if there >= wanted else there
            if waiting == 0:
                break
    return places
