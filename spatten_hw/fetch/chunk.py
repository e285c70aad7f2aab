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


def row_sections(c: SpAttenConfig) -> int:
    """Sections of the longest row."""
    return c.max_dim // section_elements(c)


def waits(width: int) -> list[int]:
    """Quarters of a row of elements of `width` bits that can wait for the rest of their chunk as a word comes."""
    needed, waiting, waits_found = chunk_quarters(width), 0, []
    while waiting not in waits_found:
        waits_found.append(waiting)
        available = waiting + QUARTERS
        waiting = available - needed if available >= needed else available
    return waits_found


def longest_wait(c: SpAttenConfig) -> int:
    """The most of `waits` at any width."""
    return max(max(waits(width)) for width in plane_widths(c))


def chunk_words(c: SpAttenConfig) -> int:
    """Words that can hold bits of a chunk: the newest, and what waits."""
    return 1 + -(-longest_wait(c) // QUARTERS)


def chunk_places(c: SpAttenConfig) -> dict[int, int]:
    """Where in the last `chunk_words` words a chunk can begin, in quarters → the bits that may be needed from there.
    A row may end before its chunk is full."""
    places: dict[int, int] = {}
    for width in plane_widths(c):
        for waiting in waits(width):
            start = (chunk_words(c) - 1) * QUARTERS - waiting
            places[start] = max(places.get(start, 0), width * chunk_elements(c, width))
    return places
