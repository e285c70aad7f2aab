"""Rows as they lie in memory: packed operands, plane of bits by plane of bits, and outputs."""

from __future__ import annotations

import numpy as np

from ..config import OUT_BITS, SpAttenConfig

#: Rows are stored plane of bits by plane of bits, each of a width that divides a byte, the most significant first.
BIT_PLANES: dict[int, tuple[int, ...]] = {
    4: (4,), 6: (4, 2), 8: (8,), 10: (8, 2), 12: (8, 4), 14: (8, 4, 2), 16: (8, 4, 4)}


def row_bytes(dim: int, bits: int) -> int:
    """Bytes of one packed row (D is a multiple of 4 and every width is even, so rows fill whole bytes)."""
    return -(-dim * bits // 8)


def row_beats(dim: int, bits: int, config: SpAttenConfig) -> int:
    """Beats of one row: it begins on a beat."""
    return -(-row_bytes(dim, bits) // config.beat_bytes)


def nibble_align(config: SpAttenConfig) -> int:
    """Bytes of which the nibbles of 6-bit rows begin on a multiple: those of a chunk, but no more than a beat."""
    return min(max(1, config.chunk // 2), config.beat_bytes)


def _plane_starts(dim: int, bits: int, align: int) -> list[tuple[int, int, int]]:
    """(first byte, width, lowest bit of an element) of every plane of a row, in memory order.

    The planes follow one another from the top; but of 6 bits the pairs come first, and the nibbles on a multiple of
    `align` (`nibble_align`): so a beat that begins both planes has what the first chunk needs of them.
    """
    low, planes = bits, []
    for width in BIT_PLANES[bits]:
        low -= width
        planes.append((width, low))
    if bits == 6:
        return [(0, *planes[1]), (-(-dim * 2 // 8 // align) * align, *planes[0])]
    starts = np.cumsum([0, *(dim * width // 8 for width, _ in planes)])
    return [(int(at), *plane) for at, plane in zip(starts, planes, strict=False)]


def packed_bytes(dim: int, bits: int, align: int) -> int:
    """Bytes of one packed row, with what lies between its planes; it has as many beats as without."""
    first, width, _ = _plane_starts(dim, bits, align)[-1]
    return first + dim * width // 8


def pack_rows(values: np.ndarray, bits: int, align: int) -> np.ndarray:
    """Integers [..., D] → uint8 [..., packed_bytes]; the low `bits` bits of each are stored, in `BIT_PLANES`; `align`:
    `nibble_align` of the build."""
    v = np.asarray(values, dtype=np.int64)
    dim = v.shape[-1]
    rows = np.zeros((*v.shape[:-1], packed_bytes(dim, bits, align)), dtype=np.uint8)
    for first, width, low in _plane_starts(dim, bits, align):
        fields = (v >> low & ((1 << width) - 1)).astype(np.uint8)
        per_byte = 8 // width
        grouped = fields.reshape(*v.shape[:-1], dim // per_byte, per_byte)
        rows[..., first:first + dim // per_byte] = np.bitwise_or.reduce(
            grouped << (width * np.arange(per_byte, dtype=np.uint8)), axis=-1)
    return rows


def unpack_rows(rows: np.ndarray, dim: int, bits: int, align: int, signed: bool = True) -> np.ndarray:
    """uint8 [..., ≥ packed_bytes] → int64 [..., D]: the inverse of `pack_rows`."""
    raw = np.asarray(rows, dtype=np.uint8)
    v = np.zeros((*raw.shape[:-1], dim), dtype=np.int64)
    for first, width, low in _plane_starts(dim, bits, align):
        per_byte = 8 // width
        part = raw[..., first:first + dim // per_byte]
        fields = part[..., None] >> (width * np.arange(per_byte, dtype=np.uint8)) & np.uint8((1 << width) - 1)
        v |= fields.reshape(v.shape).astype(np.int64) << low
    return v - ((v >> (bits - 1)) << bits) if signed else v


def pack_outputs(values: np.ndarray) -> np.ndarray:
    """Outputs [..., D] as they lie in memory: 16 bits each, little endian, not split into planes of bits."""
    return np.ascontiguousarray(values, dtype="<i2").view(np.uint8)


def unpack_outputs(rows: np.ndarray, dim: int) -> np.ndarray:
    """The inverse; `rows` may be longer."""
    raw = np.ascontiguousarray(np.asarray(rows, dtype=np.uint8)[..., :dim * OUT_BITS // 8])
    return raw.view("<i2").astype(np.int64)
