"""Chunks: the pieces in which the bit-width converter takes the words of a row.

A section of a row has E elements, as many as a word has bytes. A chunk is one section if elements have 8 bits or more.
With narrower elements it is two sections, so that it is not shorter than a word. So a word never completes more than
one chunk, and a row of 2^n elements is a whole number of chunks, or one chunk that is not full.
"""

from __future__ import annotations

from ..config import SpAttenConfig
from .conversion import plane_widths

#: Bits of the widest elements with which a chunk has two sections.
NARROW = 6
#: Parts of a word: a chunk's place and length are whole numbers of them.
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
    """How many quarters can wait for the rest of their chunk when a word comes (for elements of `width` bits)."""
    needed, waiting, waits_found = chunk_quarters(width), 0, []
    while waiting not in waits_found:
        waits_found.append(waiting)
        available = waiting + QUARTERS
        waiting = available - needed if available >= needed else available
    return waits_found


def longest_wait(c: SpAttenConfig) -> int:
    """The largest of `waits` over all widths."""
    return max(max(waits(width)) for width in plane_widths(c))


def chunk_words(c: SpAttenConfig) -> int:
    """Words that can hold bits of a chunk: the newest, and those with bits that wait."""
    return 1 + -(-longest_wait(c) // QUARTERS)


def chunk_places(c: SpAttenConfig) -> dict[int, int]:
    """Where a chunk can begin in the last `chunk_words` words, in quarters → how many bits may be needed from there.
    A row may end before its chunk is full."""
    places: dict[int, int] = {}
    for width in plane_widths(c):
        for waiting in waits(width):
            start = (chunk_words(c) - 1) * QUARTERS - waiting
            places[start] = max(places.get(start, 0), width * chunk_elements(c, width))
    return places
