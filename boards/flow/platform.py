"""Pins for a design that has more ports than any package: everything registered and shifted through a few pins.

So the clock of a unit, or of the whole accelerator, can be measured with nothing of the pins in it: every input comes
from a flip-flop beside the unit, every output ends in one.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .blocks import Port

#: Name of the module round the measured one, and of the instance inside.
FAKE_TOP = "fake_pins"
INSIDE = "dut"


class FakePins(wiring.Component):
    """`module` with `ports` (clock `clk`, reset `rst`, or neither) behind five pins: `clk`, `reset`, `load`,
    `shift_in`, `shift_out`.

    A chain of flip-flops fed from `shift_in` drives the inputs. Outputs are registered, taken into a second chain
    while `load` is 1 and shifted out otherwise. So nothing of the module is constant or unused.
    """

    def __init__(self, module: str, ports: Sequence[Port]):
        self.module = module
        self.ports = ports
        super().__init__({"clk": In(1), "reset": In(1), "load": In(1), "shift_in": In(1), "shift_out": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True, local=True)
        m.d.comb += domain.clk.eq(self.clk)
        reset = Signal()
        load = Signal()
        m.d.sync += [reset.eq(self.reset), load.eq(self.load)]
        connections, driven, seen = {}, [], []
        for port in self.ports:
            if port.name == "clk":
                connections["i_clk"] = domain.clk
            elif port.name == "rst":
                connections["i_rst"] = reset
            elif port.direction == "input":
                driven.append(signal := Signal(port.width, name=port.name))
                connections[f"i_{port.name}"] = signal
            else:
                seen.append(signal := Signal(port.width, name=port.name))
                connections[f"o_{port.name}"] = signal
        m.submodules[INSIDE] = Instance(self.module, **connections)
        inputs, outputs = Cat(driven), Cat(seen)
        source = Signal(len(inputs) + 1)
        m.d.sync += source.eq(Cat(self.shift_in, source))
        m.d.comb += inputs.eq(source[1:])
        captured = Signal(len(outputs))
        sink = Signal(len(outputs))
        m.d.sync += captured.eq(outputs)
        with m.If(load):
            m.d.sync += sink.eq(captured)
        with m.Else():
            m.d.sync += sink.eq(Cat(source[-1], sink))
        m.d.comb += self.shift_out.eq(sink[-1] if len(sink) else source[-1])
        return m
