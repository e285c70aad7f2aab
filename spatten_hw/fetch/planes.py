"""How a row lies in memory: planes of power-of-two widths, and where the pieces of a chunk are in its beats.

An element of `width` bits is cut into parts of 8, 4 and 2 bits, from the top (`PLANES`). A row is plane after plane,
each holding one part of all D elements; of 6 bits the pairs come first: a beat then has what the first chunk needs of
both planes, and the row is read out in as many steps as it has beats. A chunk (N elements) needs one *piece* of every
plane, N·part bits. Since N, parts and beats are powers of two, a piece lies inside one beat or covers whole beats.

The converter has a register for the piece (or for the beat that holds it) of up to three planes: `SLOTS`.
"""

from __future__ import annotations

from ..config import PLANE_WIDTHS, SpAttenConfig, clog2

#: Widths of the planes, from the top, by width of an element; in memory order, but for 6 bits.
PLANES = {4: (4,), 6: (4, 2), 8: (8,), 10: (8, 2), 12: (8, 4), 14: (8, 4, 2), 16: (8, 4, 4)}
#: Plane registers: one for bytes, one for the first nibbles, one for what is below (2 bits, or the nibbles of 16 bits).
SLOTS = 3


def row_widths(c: SpAttenConfig) -> tuple[int, ...]:
    """Widths of elements that this build takes."""
    return tuple(w for w in PLANE_WIDTHS if w <= c.operand_bits)


def slots_of(width: int) -> dict[int, int]:
    """For rows of `width` bits: slot → width of its plane, in memory order."""
    slots: dict[int, int] = {}
    for part in PLANES[width]:
        slots[0 if part == 8 else 1 if part == 4 and 1 not in slots else 2] = part
    return slots


def plane_starts(c: SpAttenConfig, width: int) -> dict[int, tuple[int, int]]:
    """Slot → where its plane begins in a row of `width` bits: (units per chunk, rounded up to a multiple of units)."""
    slots = slots_of(width)
    if width == 6:
        return {2: (0, 1), 1: (piece_units(c, 2), min(piece_units(c, 4), beat_units(c)))}
    starts, ahead = {}, 0
    for slot, part in slots.items():
        starts[slot] = ahead, 1
        ahead += piece_units(c, part)
    return starts


def slot_widths(c: SpAttenConfig, slot: int) -> tuple[int, ...]:
    """Widths of the planes that may be in `slot`, ascending; none: the build has no use for it."""
    return tuple(sorted({slots_of(w)[slot] for w in row_widths(c) if slot in slots_of(w)}))


def unit_bits(c: SpAttenConfig) -> int:
    """Positions in a row are counted in units of so many bits: the smallest piece, but no more than a beat."""
    return min(2 * c.chunk, c.axi_data_bits)


def beat_units(c: SpAttenConfig) -> int:
    return c.axi_data_bits // unit_bits(c)


def offset_bits(c: SpAttenConfig) -> int:
    """Width of a unit's number in its beat."""
    return clog2(beat_units(c))


def position_bits(c: SpAttenConfig) -> int:
    """Width of a position in a row, its end included."""
    return max(c.most_beats * beat_units(c), c.max_dim * c.operand_bits // unit_bits(c)).bit_length()


def piece_units(c: SpAttenConfig, part: int) -> int:
    """Units of a chunk's piece of a plane of `part` bits."""
    return c.chunk * part // unit_bits(c)


def piece_beats(c: SpAttenConfig, part: int) -> int:
    """Beats of a piece that covers whole beats; 1 also for one that lies inside a beat."""
    return max(1, c.chunk * part // c.axi_data_bits)


def covers_beats(c: SpAttenConfig, part: int) -> bool:
    """Whether a piece of a plane of `part` bits covers whole beats."""
    return c.chunk * part >= c.axi_data_bits


def part_bits(c: SpAttenConfig) -> int:
    """Width of the number of a beat in its piece."""
    return max((clog2(piece_beats(c, part)) for slot in range(SLOTS) for part in slot_widths(c, slot)), default=0)
