"""A board's SDRAM resource on the pins of `SdramMemory`."""

from __future__ import annotations

from amaranth import Cat, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In

from .sdram_chip import sdram_pins

#: Clocks that the registers in the pins add: one out, one in. `Sdram(..., pin_clocks=PIN_CLOCKS)`.
PIN_CLOCKS = 2
#: Fastest clock of this wiring: data come back at most half a clock minus the chip's access time (6 ns) and the pins'
#: delays (about 4 ns) before they are taken.
MAX_CLOCK_HZ = 50_000_000


#: The names of `amaranth_boards.resources.SDRAMResource`.
SUBSIGNALS = ("clk", "clk_en", "cs", "we", "ras", "cas", "ba", "a", "dq", "dqm")


def connect_sdram(m: Module, system, platform) -> None:
    """Ties `system.sdram` to the board's resource `sdram`."""
    resource = platform.request("sdram", 0, dir=dict.fromkeys(SUBSIGNALS, "-"))
    m.submodules.sdram_pins = pins = SdramResource(resource)
    wiring.connect(m, system.sdram, pins.sdram)


class SdramResource(wiring.Component):
    """`sdram` (the controller's pins) to `resource`, requested with direction "-" for every subsignal.

    Every pin has a register in its pad. The chip's clock is `sync` inverted, by a double-data-rate output, so that what
    leaves at a rising edge of `sync` has half a clock to arrive and half a clock to stay. Up to `MAX_CLOCK_HZ`.
    """

    def __init__(self, resource):
        self.resource = resource
        super().__init__({"sdram": In(sdram_pins())})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.clk = clk = io.DDRBuffer("o", self.resource.clk)
        m.d.comb += Cat(clk.o[0], clk.o[1]).eq(0b10)
        for name in ("clk_en", "cs", "ras", "cas", "we", "ba", "a", "dqm"):
            m.submodules[name] = buffer = io.FFBuffer("o", getattr(self.resource, name))
            m.d.comb += buffer.o.eq(getattr(self.sdram, name))
        m.submodules.dq = dq = io.FFBuffer("io", self.resource.dq)
        m.d.comb += [dq.o.eq(self.sdram.dq_o), dq.oe.eq(self.sdram.dq_oe), self.sdram.dq_i.eq(dq.i)]
        return m

