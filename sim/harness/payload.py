"""Payloads of Amaranth data layouts to and from numpy columns, many at a time.

A layout's columns: a dict with, per field, integers [count] (one per payload; a plain integer stands for all),
[count, n] for an array of n, and a dict of columns for a struct. A field wider than an integer of numpy may be given
as `Elements`. Packed payloads are bytes [count, ceil(width / 8)], little-endian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data

#: Fields of more bits come out of `unpack` as Python integers.
INT_BITS = 62


@dataclass(frozen=True)
class Elements:
    """Bits of a field as `values` [count, n] of `width` bits each, lowest first; the field's other bits are 0."""

    values: np.ndarray
    width: int


def width_of(shape: Any) -> int:
    """Bits of a shape or layout."""
    return shape.size if isinstance(shape, data.Layout) else Shape.cast(shape).width


def pack(layout: data.StructLayout, columns: Mapping[str, Any], count: int | None = None) -> np.ndarray:
    """uint8 [count, bytes] of `columns`; fields not named are 0. ValueError if a value does not fit its field.

    `count` is found from the first column that is an array, else 1.
    """
    if count is None:
        count = next(iter(_lengths(columns)), 1)
    bits = np.zeros((count, layout.size), dtype=np.uint8)
    _fill(layout, columns, bits, "")
    return np.packbits(bits, axis=1, bitorder="little")


def unpack(layout: data.StructLayout, rows: np.ndarray) -> dict[str, Any]:
    """Columns of packed payloads [count, bytes or more]: the inverse of `pack`."""
    return _cut(layout, np.unpackbits(rows, axis=1, bitorder="little"))


def pack_one(layout: data.StructLayout, values: Mapping[str, Any]) -> int:
    """One payload as an integer; fields of `values` are integers, lists (arrays) and dicts (structs)."""
    return int.from_bytes(pack(layout, _deepen(values), 1)[0].tobytes(), "little")


def unpack_one(layout: data.Layout, bits: int) -> Any:
    """The inverse of `pack_one`; of an array's layout a list."""
    row = np.frombuffer(bits.to_bytes(-(-layout.size // 8), "little"), dtype=np.uint8)[None]
    columns = _cut(layout, np.unpackbits(row, axis=1, bitorder="little")[:, :layout.size])
    return _flatten(columns) if isinstance(columns, dict) else columns.tolist()[0]


def _lengths(columns: Mapping[str, Any]):
    for value in columns.values():
        if isinstance(value, Mapping):
            yield from _lengths(value)
        elif isinstance(value, Elements):
            yield len(value.values)
        elif np.ndim(value):
            yield len(value)


def _deepen(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _deepen(v) if isinstance(v, Mapping) else [v] if np.ndim(v) else v for k, v in values.items()}


def _flatten(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _flatten(v) if isinstance(v, Mapping) else v.tolist()[0]
            for k, v in columns.items()}


def _fill(layout: data.StructLayout, columns: Mapping[str, Any], bits: np.ndarray, path: str) -> None:
    fields = dict(layout)
    for name, value in columns.items():
        if name not in fields:
            raise ValueError(f"{path}{name}: the layout has no such field, only {', '.join(fields)}")
        offset, shape = fields[name].offset, fields[name].shape
        part = bits[:, offset:offset + width_of(shape)]
        where = f"{path}{name}"
        if isinstance(shape, data.StructLayout):
            _fill(shape, value, part, f"{where}.")
        elif isinstance(value, Elements):
            digits = _bits(np.asarray(value.values), value.width, None, where)
            flat = digits.reshape(len(digits), -1)
            if flat.shape[1] > part.shape[1]:
                raise ValueError(f"{where}: {flat.shape[1]} bits in a field of {part.shape[1]}")
            part[:, :flat.shape[1]] = flat
        elif isinstance(shape, data.ArrayLayout):
            element = Shape.cast(shape.elem_shape)
            digits = _bits(np.asarray(value), element.width, element.signed, where)
            if digits.ndim != 3 or digits.shape[1] > shape.length:
                raise ValueError(f"{where}: needs columns [count, up to {shape.length}], not {np.shape(value)}")
            part[:, :digits.shape[1] * element.width] = digits.reshape(len(digits), -1)
        else:
            plain = Shape.cast(shape)
            part[:] = _bits(np.asarray(value), plain.width, plain.signed, where)


def _bits(values: np.ndarray, width: int, signed: bool | None, where: str) -> np.ndarray:
    """Bits [..., width] of integers; `signed` None: either sign may be meant."""
    low = -(1 << width >> 1) if signed is None or signed else 0
    high = 1 << width - 1 if signed else 1 << width
    if values.size and not (low <= int(values.min()) and int(values.max()) < high):
        raise ValueError(f"{where}: {int(values.min())} … {int(values.max())} do not fit {width} bits")
    if width > INT_BITS or values.dtype == object:
        digits = [[int(v) >> b & 1 for b in range(width)] for v in values.ravel()]
        return np.array(digits, dtype=np.uint8).reshape(*values.shape, width)
    return (values.astype(np.int64)[..., None] >> np.arange(width) & 1).astype(np.uint8)


def _cut(shape: Any, bits: np.ndarray) -> Any:
    if isinstance(shape, data.StructLayout):
        return {name: _cut(f.shape, bits[..., f.offset:f.offset + width_of(f.shape)]) for name, f in shape}
    if isinstance(shape, data.ArrayLayout):
        element = width_of(shape.elem_shape)
        return _cut(shape.elem_shape, bits.reshape(*bits.shape[:-1], shape.length, element))
    plain = Shape.cast(shape)
    if plain.width > INT_BITS:
        packed = np.packbits(bits, axis=-1, bitorder="little").reshape(-1, -(-plain.width // 8))
        whole = [int.from_bytes(row.tobytes(), "little") for row in packed]
        if plain.signed:
            whole = [v - (v >> plain.width - 1 << plain.width) for v in whole]
        return np.array([*whole, None], dtype=object)[:-1].reshape(bits.shape[:-1])
    values = bits.astype(np.int64) @ (np.int64(1) << np.arange(plain.width, dtype=np.int64))
    if plain.signed and plain.width:
        values -= values >> plain.width - 1 << plain.width
    return values
