"""Payloads and configurations shared by the benches of the two arrays."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Shape

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.testbench import unpack
from spatten_hw.stream.layouts import operand_row

_SHARED = {"max_heads": 4, "channels": 1, "axi_data_bits": 32, "interleave_bytes": 16, "axi_addr_bits": 20}

#: Tiny builds: one lane; several dimensions and lanes; more top-k lanes than lanes; one dimension only.
CONFIGS: dict[str, SpAttenConfig] = {
    "one_lane": SpAttenConfig(multipliers=4, min_dim=4, max_dim=4, operand_bits=8, max_tokens=32, sram_tokens=16,
                              slots=2, max_group=2, topk_lanes=1, k_ports=1, v_ports=1, **_SHARED),
    "all_dims": SpAttenConfig(multipliers=16, min_dim=4, max_dim=16, operand_bits=6, max_tokens=64, sram_tokens=16,
                              slots=4, max_group=4, topk_lanes=4, k_ports=4, v_ports=4, **_SHARED),
    "wide_topk": SpAttenConfig(multipliers=16, min_dim=8, max_dim=16, operand_bits=12, max_tokens=64,
                               sram_tokens=32, slots=4, max_group=3, topk_lanes=8, k_ports=2, v_ports=2,
                               **_SHARED),
    "one_row": SpAttenConfig(multipliers=32, min_dim=8, max_dim=8, operand_bits=4, max_tokens=16, sram_tokens=4,
                             slots=2, max_group=1, topk_lanes=16, k_ports=4, v_ports=4, **_SHARED),
}


def from_params(params: dict) -> SpAttenConfig:
    return SpAttenConfig(**params["config"])


def to_params(config: SpAttenConfig) -> dict:
    return {"config": config.fields}


def put(layout, **values: int) -> int:
    """Payload integer from raw integers per field (the same as `pack`, but quick)."""
    bits = 0
    for key, field in layout:
        width = field.shape.size if hasattr(field.shape, "size") else Shape.cast(field.shape).width
        bits |= (int(values.pop(key, 0)) & ((1 << width) - 1)) << field.offset
    assert not values, values
    return bits


def join(elements, width: int) -> int:
    """Elements, lowest first, as one integer."""
    bits = 0
    for i, e in enumerate(elements):
        bits |= (int(e) & ((1 << width) - 1)) << (i * width)
    return bits


def operands(rng: np.random.Generator, c: SpAttenConfig, shape) -> np.ndarray:
    """Random operands over the whole range, one time in four only its two ends."""
    top = 1 << (c.operand_bits - 1)
    if rng.random() < 0.25:
        return rng.choice([-top, top - 1], shape)
    return rng.integers(-top, top, shape)


def rows_of(c: SpAttenConfig, rng: np.random.Generator, matrix: np.ndarray, fill: int, half: int) -> list[int]:
    """`operand_row` payloads of a command that fetches the rows of `matrix` [n, D]; dead lanes hold noise."""
    n, dim = matrix.shape
    r = c.multipliers // dim
    layout = operand_row(c)
    out = []
    for first in range(0, n, r):
        live = matrix[first:first + r]
        noise = operands(rng, c, (r - len(live), dim))
        flat = np.concatenate([live, noise]).ravel()
        out.append(put(layout, slices=join(flat, c.operand_bits), count=len(live), last=first + r >= n,
                       fill=fill, half=half))
    return out


def take(layout, payload: int) -> dict:
    return unpack(layout, payload)
