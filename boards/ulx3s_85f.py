"""Radiona ULX3S with an LFE5U-85F: 25 MHz, 32 MB of SDRAM, UART over USB, eight lights."""

from __future__ import annotations

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from spatten_hw.boards.board import Board
from spatten_hw.boards.flow.devices import LFE5U_85F
from spatten_hw.boards.shell.block_ram import BlockRam
from spatten_hw.boards.shell.sdram import Sdram
from spatten_hw.boards.shell.sdram_resource import MAX_CLOCK_HZ, PIN_CLOCKS, connect_sdram
from spatten_hw.errors import UserError


def _sdram(clock_hz: int) -> Sdram:
    if clock_hz > MAX_CLOCK_HZ:
        raise UserError(f"--frequency {clock_hz / 1e6:g}: the SDRAM's pins take at most {MAX_CLOCK_HZ / 1e6:g} MHz; "
                        f"lower it or use --memory bram")
    return Sdram(clock_hz, pin_clocks=PIN_CLOCKS)


BOARD = Board(
    name="ulx3s_85f", title="ULX3S with LFE5U-85F", platform=ULX3S_85F_Platform, device=LFE5U_85F,
    oscillator_hz=25_000_000, clock_hz=40_000_000,
    memories={"bram": lambda clock_hz: BlockRam(64 * 1024), "sdram": _sdram}, connect={"sdram": connect_sdram},
    leds=lambda platform: [platform.request("led", n, dir="-") for n in range(4)],
)
