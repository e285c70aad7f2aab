"""A board's top: clock, pins, and the system, which is a Verilog module of its own beside it."""

from __future__ import annotations

from typing import Any

from amaranth import ClockSignal, Elaboratable, Instance, Module, ResetSignal, Value
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In

from spatten_hw.boards.board import Board
from spatten_hw.boards.pll import add_clock
from spatten_hw.boards.shell.system import System
from spatten_hw.generate import TOP as ACCELERATOR

#: Verilog module of the board.
TOP = "top"
#: Verilog module of the system on it. Its units are then the same modules as in the generated Verilog, with the same
#: text, so that what is synthesised for one is there for the other.
SYSTEM = ACCELERATOR


class SystemBox(wiring.Component):
    """`system`'s ports, as an instance of the module `SYSTEM` that `spatten_hw.verilog` made of it."""

    def __init__(self, system: System):
        super().__init__(system.signature)

    def elaborate(self, platform) -> Module:
        m = Module()
        ports: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        for path, member, value in self.signature.flatten(self):
            ports[f"{'i' if member.flow == In else 'o'}_{'__'.join(map(str, path))}"] = Value.cast(value)
        m.submodules.box = Instance(SYSTEM, **ports)
        return m


class BoardTop(Elaboratable):
    """Oscillator or PLL, UART, lights and memory pins of `board` round `system`, whose memory is of `kind`."""

    def __init__(self, board: Board, system: System, kind: str):
        self.board = board
        self.system = system
        self.kind = kind

    def elaborate(self, platform) -> Module:
        m = Module()
        board = self.board
        add_clock(m, platform, board.oscillator_hz, self.system.clock_hz, board.device.family.name)
        m.submodules.system = system = SystemBox(self.system)
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx_pin = rx = io.Buffer("i", uart.rx)
        m.submodules.tx_pin = tx = io.Buffer("o", uart.tx)
        m.d.comb += [system.uart_rx.eq(rx.i), tx.o.eq(system.uart_tx)]
        for n, (port, value) in enumerate(zip(board.leds(platform), system.leds, strict=True)):
            m.submodules[f"led{n}_pin"] = light = io.Buffer("o", port)
            m.d.comb += light.o.eq(value)
        if self.kind in board.connect:
            board.connect[self.kind](m, system, platform)
        return m
