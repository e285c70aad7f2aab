"""What the control slave promises on AXI4-Lite, for any master, with resets at any time."""

from __future__ import annotations

from amaranth import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.axil import axil_signature
from spatten_hw.control.counters import READ_CYCLES
from spatten_hw.control.csr import ControlRegisters

#: Accesses are counted to this many bits; at most two of a kind are open.
BITS = 2


class ControlHarness(wiring.Component):
    """Every write address with its data gets one B, every read address one R, in time; what waits stays; after a cycle
    with reset nothing is valid."""

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "axil": In(axil_signature()), "rst": In(1), "push_ready": In(1), "finished": In(1), "how": In(24),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.reset_too = domain = ClockDomain()
        m.d.comb += [domain.clk.eq(ClockSignal("sync")), domain.rst.eq(self.rst)]
        registers = ControlRegisters(self.config)
        m.submodules.dut = DomainRenamer("reset_too")(registers)
        dut, bus = registers, self.axil
        wiring.connect(m, wiring.flipped(bus), dut.axil)
        m.d.comb += [dut.push.ready.eq(self.push_ready), dut.completion.valid.eq(self.finished),
                     dut.completion.payload.eq(self.how)]

        was_reset = Signal(init=1)  # the state at the start is that after a reset
        m.d.sync += was_reset.eq(self.rst)
        with m.If(was_reset):
            m.d.comb += [Assert(~bus.bvalid), Assert(~bus.rvalid), Assert(~dut.push.valid), Assert(~dut.irq)]
        m.d.comb += Assume(~self.rst | ~(bus.awvalid | bus.wvalid | bus.arvalid))

        # The master keeps what it offers, the slave what it answers.
        _held(m, "aw", self.rst, bus.awvalid, bus.awready, bus.awaddr, Assume)
        _held(m, "w", self.rst, bus.wvalid, bus.wready, Cat(bus.wdata, bus.wstrb), Assume)
        _held(m, "ar", self.rst, bus.arvalid, bus.arready, bus.araddr, Assume)
        _held(m, "b", self.rst, bus.bvalid, bus.bready, bus.bresp, Assert)
        _held(m, "r", self.rst, bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp), Assert)
        _held(m, "push", self.rst, dut.push.valid, dut.push.ready, dut.push.payload.as_value(), Assert)

        channels = ("aw", "w", "b", "ar", "r")
        moved = {name: getattr(bus, f"{name}valid") & getattr(bus, f"{name}ready") for name in channels}
        open_ = {name: Signal(BITS, name=f"open_{name}") for name in ("aw", "w", "ar")}
        for name, level in open_.items():
            answered = moved["r" if name == "ar" else "b"]
            m.d.sync += level.eq(level + moved[name] - answered)
            m.d.comb += Assert(level <= 2)
        with m.If(self.rst):
            m.d.sync += [level.eq(0) for level in open_.values()]
        m.d.comb += [
            Assert(~bus.bvalid | ((open_["aw"] != 0) & (open_["w"] != 0))), Assert(~bus.rvalid | (open_["ar"] != 0)),
            Assert(open_["ar"] <= 1 + bus.rvalid),
            Assert(~bus.bvalid | ((bus.bresp & 1) == 0)), Assert(~bus.rvalid | ((bus.rresp & 1) == 0)),
        ]
        # An answer does not wait for anything but the one before it.
        for name, waits, answer, most in (
                ("write", (open_["aw"] != 0) & (open_["w"] != 0), bus.bvalid, 1),
                ("read", open_["ar"] != 0, bus.rvalid, READ_CYCLES + 2)):
            waited = Signal(range(most + 2), name=f"{name}_waited")
            with m.If(waits & ~answer & ~self.rst):
                m.d.sync += waited.eq(waited + (waited <= most))
            with m.Else():
                m.d.sync += waited.eq(0)
            m.d.comb += Assert(waited <= most)
        m.d.comb += [
            Cover((open_["aw"] == 2) & (open_["w"] == 2)), Cover((open_["w"] == 1) & (open_["aw"] == 0)),
            Cover((open_["ar"] == 2) & ~bus.rready), Cover(dut.push.valid & ~dut.push.ready & bus.bvalid),
            Cover(bus.bvalid & (bus.bresp != 0)), Cover(was_reset & ~self.rst & bus.awvalid),
        ]
        return m


def _held(m: Module, name: str, rst, valid, ready, payload, check) -> None:
    waiting = Signal(name=f"{name}_waiting")
    before = Signal(len(payload), name=f"{name}_before")
    m.d.sync += [waiting.eq(valid & ~ready & ~rst), before.eq(payload)]
    with m.If(waiting):
        m.d.comb += [check(valid | (rst if check is Assume else 0)), check(payload == before)]
