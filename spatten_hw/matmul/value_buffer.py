"""V SRAM: every slice is a bank of its own, so that each lane can read a different row."""

from __future__ import annotations

from ..config import SpAttenConfig
from .operand_buffer import OperandBuffer


class ValueBuffer(OperandBuffer):
    """`OperandBuffer` with one read address per slice.

    Position p lies in lane p mod R, row p div R; lane l is slices l·D/min_dim … (l + 1)·D/min_dim − 1. Rows
    arrive in this form, so a fill writes row group g to address g of every bank. Positions of different lanes
    are read in one cycle; positions of the same lane conflict.
    """

    def __init__(self, config: SpAttenConfig):
        super().__init__(config, readers=config.slices)
