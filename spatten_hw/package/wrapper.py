"""A Verilog shell in the style of FPGA vendors: active-low reset, wide addresses, a base per memory port."""

from __future__ import annotations

from ..config import SpAttenConfig
from .ports import interface_ports, masters

#: Width of addresses outside the shell: that of a Zynq UltraScale+, and more than the largest `axi_addr_bits`.
ADDRESS_BITS = 49


def wrapper_verilog(c: SpAttenConfig, top: str, name: str) -> str:
    """Verilog-2001 module `name` round `top`.

    `aclk`, `aresetn` (synchronous, active low), `irq` (level, high), the AXI interfaces under the same names.
    Every memory port's address is `ADDRESS_BITS` wide: parameter M_AXI_<i>_BASE plus the accelerator's address, so
    that channels lie in parts of one memory that do not overlap.
    """
    parameters = [f"    parameter [{ADDRESS_BITS - 1}:0] {m.upper()}_BASE = {ADDRESS_BITS}'h0" for m in masters(c)]
    ports = ["    input wire aclk", "    input wire aresetn", "    output wire irq"]
    wires: list[str] = []
    connections = ["        .clk(aclk)", "        .rst(!aresetn)", "        .irq(irq)"]
    for interface, signals in interface_ports(c).items():
        for signal, (direction, width) in signals.items():
            port = inner = f"{interface}_{signal}"
            outer = width
            if interface in masters(c) and signal in ("awaddr", "araddr"):
                inner, outer = f"{port}_local", ADDRESS_BITS
                wires += [f"    wire {_range(width)}{inner};",
                          f"    assign {port} = {interface.upper()}_BASE + {{{outer - width}'h0, {inner}}};"]
            ports.append(f"    {direction}put wire {_range(outer)}{port}")
            connections.append(f"        .{port}({inner})")
    return "\n".join([
        f"// Shell of SpAtten, configuration {c.hash:08x}, for vendor tools. Generated; do not edit.",
        f"module {name} #(", ",\n".join(parameters), ") (", ",\n".join(ports), ");", *wires,
        f"    {top} core (", ",\n".join(connections), "    );", "endmodule", ""])


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""
