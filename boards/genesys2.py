"""Digilent Genesys 2 (XC7K325T): 200 MHz, UART over USB, eight lights. Synthesis only: the rest needs the vendor's
tools."""

from __future__ import annotations

from amaranth_boards.genesys2 import Genesys2Platform

from spatten_hw.boards.board import Board
from spatten_hw.boards.flow.devices import XC7K325T
from spatten_hw.boards.shell.block_ram import BlockRam

BOARD = Board(
    name="genesys2", title="Genesys 2 with XC7K325T", platform=Genesys2Platform, device=XC7K325T,
    oscillator_hz=200_000_000, clock_hz=100_000_000, memories={"bram": lambda clock_hz: BlockRam(256 * 1024)},
    leds=lambda platform: [platform.request("led", n, dir="-") for n in range(4)],
)
