"""The boards there are."""

from __future__ import annotations

from spatten_hw.boards import arty_a7, ecpix5_85f, genesys2, ulx3s_85f
from spatten_hw.boards.board import Board

BOARDS: dict[str, Board] = {module.BOARD.name: module.BOARD for module in (ulx3s_85f, ecpix5_85f, arty_a7, genesys2)}
