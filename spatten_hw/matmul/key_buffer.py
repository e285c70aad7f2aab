"""K SRAM: all slices read the same row."""

from __future__ import annotations

from ..config import SpAttenConfig
from .operand_buffer import OperandBuffer


class KeyBuffer(OperandBuffer):
    """`OperandBuffer` with one read address: a row group of R keys per cycle, row g of a half holding
    positions g·R … g·R + R − 1. `read_addr[0]` = row | half << row_bits."""

    def __init__(self, config: SpAttenConfig):
        super().__init__(config, readers=1)
