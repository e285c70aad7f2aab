"""One access at a time to AXI4-Lite registers."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.control.axil import OKAY, axil_signature
from spatten_hw.interface.registers import ADDRESS_BITS


class RegisterAccess(wiring.Component):
    """`start`, for one cycle, reads or writes (`write`) the register at `address`; these and `data` hold still until
    `done`, for one cycle: then `value` is what was read, `error` that the answer was not OKAY; both stay."""

    def __init__(self) -> None:
        super().__init__({
            "axil": Out(axil_signature()),
            "start": In(1), "write": In(1), "address": In(ADDRESS_BITS), "data": In(32),
            "done": Out(1), "value": Out(32), "error": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.axil
        m.d.comb += [bus.awaddr.eq(self.address), bus.araddr.eq(self.address), bus.wdata.eq(self.data),
                     bus.wstrb.eq(0xF), bus.bready.eq(1), bus.rready.eq(1)]
        m.d.sync += self.done.eq(bus.bvalid | bus.rvalid)
        for valid, ready in (("awvalid", "awready"), ("wvalid", "wready"), ("arvalid", "arready")):
            with m.If(getattr(bus, ready)):
                m.d.sync += getattr(bus, valid).eq(0)
        with m.If(self.start):
            m.d.sync += [bus.awvalid.eq(self.write), bus.wvalid.eq(self.write), bus.arvalid.eq(~self.write)]
        with m.If(bus.bvalid):
            m.d.sync += self.error.eq(bus.bresp != OKAY)
        with m.If(bus.rvalid):
            m.d.sync += [self.error.eq(bus.rresp != OKAY), self.value.eq(bus.rdata)]
        return m
