"""LambdaConcept ECPIX-5 with an LFE5UM5G-85F: 100 MHz, UART over USB, four coloured lights (green here)."""

from __future__ import annotations

from amaranth_boards.ecpix5 import ECPIX585Platform

from spatten_hw.boards.board import Board
from spatten_hw.boards.flow.devices import LFE5UM5G_85F
from spatten_hw.boards.shell.block_ram import BlockRam

BOARD = Board(
    name="ecpix5_85f", title="ECPIX-5 with LFE5UM5G-85F", platform=ECPIX585Platform, device=LFE5UM5G_85F,
    oscillator_hz=100_000_000, clock_hz=50_000_000, memories={"bram": lambda clock_hz: BlockRam(64 * 1024)},
    leds=lambda platform: [platform.request("rgb_led", n, dir="-").g for n in range(4)],
)
