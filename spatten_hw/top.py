"""Flat vendor-style ports round the accelerator: what Vivado, LiteX and test benches connect to by name.

One clock `clk`, one synchronous active-high reset `rst`, a level interrupt `irq`, an AXI4-Lite slave
`s_axil_*` (32-bit data, 12-bit byte address) and one AXI4 master `m_axi_<c>_*` per memory channel.
Constant sidebands: INCR bursts of the full width, normal non-cacheable bufferable memory, unprivileged
secure data access (Arm IHI 0022, AXI4).
"""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .accelerator import Accelerator
from .config import SpAttenConfig, clog2
from .probe import probe_layout

#: AXI4 AxBURST = INCR.
BURST_INCR = 0b01
#: AXI4 AxCACHE = normal, non-cacheable, bufferable.
CACHE_NORMAL = 0b0011
#: AXI4 AxPROT = unprivileged, secure, data.
PROT_DATA = 0b000
AXIL_ADDR_BITS = 12
AXIL_DATA_BITS = 32

#: The AXI4-Lite slave: port → (direction seen from the accelerator, width).
AXIL_PORTS = {
    "awaddr": (In, AXIL_ADDR_BITS), "awprot": (In, 3), "awvalid": (In, 1), "awready": (Out, 1),
    "wdata": (In, AXIL_DATA_BITS), "wstrb": (In, AXIL_DATA_BITS // 8), "wvalid": (In, 1), "wready": (Out, 1),
    "bresp": (Out, 2), "bvalid": (Out, 1), "bready": (In, 1),
    "araddr": (In, AXIL_ADDR_BITS), "arprot": (In, 3), "arvalid": (In, 1), "arready": (Out, 1),
    "rdata": (Out, AXIL_DATA_BITS), "rresp": (Out, 2), "rvalid": (Out, 1), "rready": (In, 1),
}


def axi_ports(c: SpAttenConfig) -> dict[str, tuple]:
    """One AXI4 master: port → (direction, width)."""
    address = {"id": c.id_bits, "addr": c.axi_addr_bits, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3}
    ports: dict[str, tuple] = {}
    for channel in ("aw", "ar"):
        ports |= {f"{channel}{name}": (Out, width) for name, width in address.items()}
        ports |= {f"{channel}valid": (Out, 1), f"{channel}ready": (In, 1)}
    ports |= {
        "wdata": (Out, c.axi_data_bits), "wstrb": (Out, c.beat_bytes), "wlast": (Out, 1),
        "wvalid": (Out, 1), "wready": (In, 1),
        "bid": (In, c.id_bits), "bresp": (In, 2), "bvalid": (In, 1), "bready": (Out, 1),
        "rid": (In, c.id_bits), "rdata": (In, c.axi_data_bits), "rresp": (In, 2), "rlast": (In, 1),
        "rvalid": (In, 1), "rready": (Out, 1),
    }
    return ports


class Top(wiring.Component):
    """`Accelerator(config)` with the flat ports described above; Verilog module `spatten`.

    `probe`: for simulation, one more output `probe` (`spatten_hw/probe.py`).
    """

    def __init__(self, config: SpAttenConfig, *, probe: bool = False):
        self.config = config
        self.probed = probe
        ports = {f"s_axil_{name}": flow(width) for name, (flow, width) in AXIL_PORTS.items()}
        for i in range(config.channels):
            ports |= {f"m_axi_{i}_{name}": flow(width) for name, (flow, width) in axi_ports(config).items()}
        if probe:
            ports["probe"] = Out(probe_layout(config).size)
        super().__init__({"irq": Out(1), **ports})

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.accelerator = acc = Accelerator(c, probe=self.probed)
        m.d.comb += self.irq.eq(acc.irq)
        if self.probed:
            m.d.comb += self.probe.eq(acc.probe.as_value())
        for name, (flow, _) in AXIL_PORTS.items():
            if name in ("awprot", "arprot"):
                continue  # every access is treated alike
            outer, inner = getattr(self, f"s_axil_{name}"), getattr(acc.axil, name)
            m.d.comb += inner.eq(outer) if flow is In else outer.eq(inner)
        for i in range(c.channels):
            self._connect_channel(m, acc, i)
        return m

    def _connect_channel(self, m: Module, acc: Accelerator, i: int) -> None:
        def port(name: str):
            return getattr(self, f"m_axi_{i}_{name}")

        for channel, s in (("aw", acc.aw[i]), ("ar", acc.ar[i]), ("w", acc.w[i])):
            fields = ["data", "strb", "last"] if channel == "w" else ["id", "addr", "len"]
            m.d.comb += [port(f"{channel}{name}").eq(getattr(s.payload, name)) for name in fields]
            m.d.comb += [port(f"{channel}valid").eq(s.valid), s.ready.eq(port(f"{channel}ready"))]
        for channel in ("aw", "ar"):
            m.d.comb += [
                port(f"{channel}size").eq(clog2(self.config.beat_bytes)),
                port(f"{channel}burst").eq(BURST_INCR),
                port(f"{channel}cache").eq(CACHE_NORMAL),
                port(f"{channel}prot").eq(PROT_DATA),
            ]
        answers = {"r": (acc.r[i], ("id", "data", "resp", "last")), "b": (acc.b[i], ("id", "resp"))}
        for channel, (s, names) in answers.items():
            m.d.comb += [getattr(s.payload, name).eq(port(f"{channel}{name}")) for name in names]
            m.d.comb += [s.valid.eq(port(f"{channel}valid")), port(f"{channel}ready").eq(s.ready)]
