"""Ports of a simulated block, and values for them as Verilator keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from .payload import pack


@dataclass(frozen=True)
class Port:
    """A stream or a plain signal: `name` in Verilog, `layout` of the payload or value, its `width` in bits."""

    name: str
    input: bool
    layout: Any
    width: int

    @property
    def size(self) -> int:
        """Bytes Verilator keeps it in: an integer, or an array of 32-bit words."""
        return next((n for n in (1, 2, 4, 8) if self.width <= 8 * n), -(-self.width // 32) * 4)

    def rows(self, payloads: Mapping[str, Any] | np.ndarray | Sequence[int]) -> np.ndarray:
        """Payloads as Verilator keeps them: uint8 [count, size]."""
        if isinstance(payloads, Mapping):
            payloads = pack(self.layout, payloads)
        if isinstance(payloads, np.ndarray) and payloads.ndim == 2:
            if payloads.dtype != np.uint8 or payloads.shape[1] != -(-self.width // 8):
                raise ValueError(f"{self.name}: packed payloads have {-(-self.width // 8)} bytes")
            rows = np.zeros((len(payloads), self.size), dtype=np.uint8)
            rows[:, :payloads.shape[1]] = payloads
            return rows
        return self.store(payloads)

    def store(self, values: Any) -> np.ndarray:
        """Integers, one for each payload or value, likewise. Raises `ValueError` if one does not fit the width."""
        values = [int(v) for v in values]
        if any(not 0 <= v < 1 << self.width for v in values):
            raise ValueError(f"{self.name}: a value does not fit {self.width} bits")
        joined = b"".join(v.to_bytes(self.size, "little") for v in values)
        return np.frombuffer(joined, dtype=np.uint8).reshape(len(values), self.size)


def ports_of(component: wiring.Component) -> tuple[list[Port], list[Port]]:
    """Streams and plain ports of a component, in the order of its signature; plain ports of no width are left out."""
    leaves: dict[tuple, dict[str, tuple[bool, Any]]] = {}
    for path, member, value in component.signature.flatten(component):
        names = tuple(map(str, path))
        leaves.setdefault(names[:-1], {})[names[-1]] = (member.flow == In, value)
    streams, wires = [], []
    for path, members in leaves.items():
        if {"valid", "ready", "payload"} <= members.keys():
            value = members["payload"][1]
            streams.append(_port("__".join(path), members["valid"][0], value))
            members = {n: m for n, m in members.items() if n not in ("valid", "ready", "payload")}
        wires += [_port("__".join((*path, n)), is_input, value) for n, (is_input, value) in members.items()]
    return streams, [w for w in wires if w.width]


def _port(name: str, is_input: bool, value: Any) -> Port:
    raw = Value.cast(value)
    if not isinstance(raw, Signal):
        raise ValueError(f"port {name} is no signal")
    layout = value.shape() if isinstance(value, data.View) else raw.shape()
    return Port(name, is_input, layout, Shape.cast(raw.shape()).width)
