"""The ports of the top module by interface, as packages need them."""

from __future__ import annotations

from amaranth.lib.wiring import In

from ..config import SpAttenConfig
from ..top import AXIL_PORTS, axi_ports

#: Name of the register slave's interface: prefix of its ports.
SLAVE = "s_axil"
#: Bytes of the register slave.
SLAVE_BYTES = 0x1000


def masters(c: SpAttenConfig) -> list[str]:
    """Names of the memory masters' interfaces: prefixes of their ports."""
    return [f"m_axi_{i}" for i in range(c.channels)]


def interface_ports(c: SpAttenConfig) -> dict[str, dict[str, tuple[str, int]]]:
    """Interface → AXI signal in lower case → ("in" or "out" of the accelerator, bits)."""
    def plain(ports: dict[str, tuple]) -> dict[str, tuple[str, int]]:
        return {name: ("in" if flow is In else "out", width) for name, (flow, width) in ports.items()}
    return {SLAVE: plain(AXIL_PORTS), **{name: plain(axi_ports(c)) for name in masters(c)}}


def top_ports(c: SpAttenConfig) -> dict[str, tuple[str, int]]:
    """Every port of the top module → (direction, bits)."""
    ports = {"clk": ("in", 1), "rst": ("in", 1), "irq": ("out", 1)}
    for interface, signals in interface_ports(c).items():
        ports |= {f"{interface}_{name}": port for name, port in signals.items()}
    return ports
