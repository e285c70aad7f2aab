"""Radiona ULX3S with an LFE5U-85F: 25 MHz, 32 MB of SDRAM, UART over USB, eight lights."""

from __future__ import annotations

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from boards.board import Board
from boards.flow.devices import LFE5U_85F
from boards.shell.block_ram import BlockRam

BOARD = Board(
    name="ulx3s_85f", title="ULX3S with LFE5U-85F", platform=ULX3S_85F_Platform, device=LFE5U_85F,
    oscillator_hz=25_000_000, clock_hz=50_000_000, memories={"bram": lambda hz: BlockRam(128 * 1024)},
    leds=lambda platform: [platform.request("led", n, dir="-") for n in range(4)],
)
