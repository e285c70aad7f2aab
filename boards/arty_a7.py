"""Digilent Arty A7-100T: 100 MHz, UART over USB, four lights. Synthesis only: the rest needs the vendor's tools."""

from __future__ import annotations

from amaranth_boards.arty_a7 import ArtyA7_100Platform

from spatten_hw.boards.board import Board
from spatten_hw.boards.flow.devices import XC7A100T
from spatten_hw.boards.shell.block_ram import BlockRam

BOARD = Board(
    name="arty_a7", title="Arty A7-100T", platform=ArtyA7_100Platform, device=XC7A100T,
    oscillator_hz=100_000_000, clock_hz=50_000_000, memories={"bram": lambda clock_hz: BlockRam(128 * 1024)},
    leds=lambda platform: [platform.request("led", n, dir="-") for n in range(4)],
)
