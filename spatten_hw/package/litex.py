"""`litex`: a module that puts the accelerator into a LiteX SoC."""

from __future__ import annotations

from ..config import SpAttenConfig
from .ports import SLAVE, SLAVE_BYTES, interface_ports, masters

#: LiteX streams call the handshake and these by their own names; all others are the AXI signal without its channel.
LAST = "last"
CHANNELS = ("aw", "ar", "w", "b", "r")


def litex_files(c: SpAttenConfig, top: str) -> dict[str, str]:
    """`spatten_litex.py`: class `SpAtten` and `add_spatten(soc)`; needs litex and the Verilog one folder up."""
    connections = _instance(c)
    return {f"{top}_litex.py": f'''\
"""SpAtten accelerator (configuration {c.hash:08x}) as a LiteX module. Generated; do not edit.

    from {top}_litex import add_spatten
    spatten = add_spatten(soc)          # registers, memory ports and interrupt on the buses of `soc`

Checked by building a SoC's Verilog with it (no CPU, integrated RAM) and linting that; not run on a board.
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal, Signal

CONFIG_HASH = 0x{c.hash:08x}
CHANNELS = {c.channels}
DATA_BITS = {c.axi_data_bits}
ADDRESS_BITS = {c.axi_addr_bits}
ID_BITS = {c.id_bits}
REGISTER_BYTES = 0x{SLAVE_BYTES:x}
#: Bytes of bus addresses.
BUS_ADDRESS_BITS = 32


class SpAtten(LiteXModule):
    """The accelerator in clock domain `sys`.

    bus: AXI4-Lite slave, {SLAVE_BYTES // 1024} KiB of registers (registers.json, {top}_regs.h). memory: one AXI4
    master per channel; `bases`: bus address at which each channel's memory begins (channels must not overlap).
    ev.job: the interrupt, a level that stays until it is cleared in the accelerator's IRQ_STATUS.
    """

    def __init__(self, platform, bases=None):
        bases = [0] * CHANNELS if bases is None and CHANNELS == 1 else bases
        if bases is None or len(bases) != CHANNELS:
            raise ValueError(f"bases: the bus addresses of {{CHANNELS}} channel memories are needed")
        self.bus = bus = axi.AXILiteInterface(data_width=32, address_width=BUS_ADDRESS_BITS)
        self.memory = memory = [
            axi.AXIInterface(data_width=DATA_BITS, address_width=BUS_ADDRESS_BITS, id_width=ID_BITS, bursting=True)
            for _ in range(CHANNELS)]
        self.irq = Signal()
        self.ev = EventManager()
        self.ev.job = EventSourceLevel()
        self.ev.finalize()
        self.comb += self.ev.job.trigger.eq(self.irq)

        local = {{}}
        for i, base in enumerate(bases):
            for channel in ("aw", "ar"):
                local[channel, i] = address = Signal(ADDRESS_BITS)
                self.comb += getattr(memory[i], channel).addr.eq(address + base)
        self.specials += Instance(
            "{top}",
            i_clk=ClockSignal("sys"), i_rst=ResetSignal("sys"), o_irq=self.irq,
{connections}        )
        platform.add_source(str(Path(__file__).resolve().parent.parent / "{top}.v"))


def add_spatten(soc, name="{top}", origin=None, bases=None):
    """Adds the accelerator to `soc` as `soc.<name>` and returns it.

    Registers: region <name> at `origin` (None: where there is room), not cached. Memory ports: masters of the SoC's
    bus; `bases` as above, for one channel by default 0: addresses in descriptors are bus addresses. Interrupt: if
    the SoC has a CPU with interrupts.
    """
    core = SpAtten(soc.platform, bases)
    soc.add_module(name=name, module=core)
    soc.bus.add_slave(name, core.bus, SoCRegion(origin=origin, size=REGISTER_BYTES, cached=False))
    for i, port in enumerate(core.memory):
        soc.bus.add_master(name=f"{{name}}_memory{{i}}", master=port)
    if soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)
    return core
'''}


def _instance(c: SpAttenConfig) -> str:
    """Lines of the instance's port connections."""
    lines = []
    for interface, signals in interface_ports(c).items():
        number = "" if interface == SLAVE else masters(c).index(interface)
        bus = "bus" if interface == SLAVE else f"memory[{number}]"
        for signal, (direction, width) in signals.items():
            channel = next(x for x in CHANNELS if signal.startswith(x))
            name = signal.removeprefix(channel)
            value = f"{bus}.{channel}.{name}"
            if name == "addr":
                value = f"{value}[:{width}]" if interface == SLAVE else f'local["{channel}", {number}]'
            lines.append(f"            {direction[0]}_{interface}_{signal}={value},\n")
    return "".join(lines)
