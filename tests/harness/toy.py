"""A small machine with the accelerator's ports: on every channel it copies blocks of two 4-beat bursts.

Registers: 0x0 source, 0x4 destination, 0x8 number of blocks and start, 0xC interrupt clear (write) and
error responses seen (read), 0x10 number of the rule of AXI to break (`FAULTS`), to see the checker notice.
"""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.config import SpAttenConfig, clog2

BEATS = 4
FAULTS = ("", "wlast", "size", "cross", "drop", "change", "stray", "lite_b", "lite_r", "one_id")

#: The contract of names and directions, written down a second time: tests compare it with the real top's.
AXIL = {"awaddr": (In, 12), "awprot": (In, 3), "awvalid": (In, 1), "awready": (Out, 1), "wdata": (In, 32),
        "wstrb": (In, 4), "wvalid": (In, 1), "wready": (Out, 1), "bresp": (Out, 2), "bvalid": (Out, 1),
        "bready": (In, 1), "araddr": (In, 12), "arprot": (In, 3), "arvalid": (In, 1), "arready": (Out, 1),
        "rdata": (Out, 32), "rresp": (Out, 2), "rvalid": (Out, 1), "rready": (In, 1)}


def axi(c: SpAttenConfig) -> dict:
    ports = {}
    for a in ("aw", "ar"):
        ports |= {f"{a}id": (Out, c.id_bits), f"{a}addr": (Out, c.axi_addr_bits), f"{a}len": (Out, 8),
                  f"{a}size": (Out, 3), f"{a}burst": (Out, 2), f"{a}cache": (Out, 4), f"{a}prot": (Out, 3),
                  f"{a}valid": (Out, 1), f"{a}ready": (In, 1)}
    return ports | {
        "wdata": (Out, c.axi_data_bits), "wstrb": (Out, c.axi_data_bits // 8), "wlast": (Out, 1), "wvalid": (Out, 1),
        "wready": (In, 1), "bid": (In, c.id_bits), "bresp": (In, 2), "bvalid": (In, 1), "bready": (Out, 1),
        "rid": (In, c.id_bits), "rdata": (In, c.axi_data_bits), "rresp": (In, 2), "rlast": (In, 1), "rvalid": (In, 1),
        "rready": (Out, 1)}


def ports_of(c: SpAttenConfig) -> dict:
    ports = {f"s_axil_{n}": flow(w) for n, (flow, w) in AXIL.items()}
    for i in range(c.channels):
        ports |= {f"m_axi_{i}_{n}": flow(w) for n, (flow, w) in axi(c).items()}
    return {"irq": Out(1), **ports}


class Toy(wiring.Component):
    def __init__(self, config: SpAttenConfig):
        self.config = config
        self.fault = Signal(4)
        super().__init__(ports_of(config))

    def elaborate(self, platform):
        m = Module()
        source, target, blocks = Signal(32), Signal(32), Signal(16)
        start, errors = Signal(), Signal(32)
        self._registers(m, source, target, blocks, start, errors)
        done = Signal(self.config.channels)
        for c in range(self.config.channels):
            self._channel(m, c, source, target, blocks, start, errors, done[c])
        finished = Signal()
        m.d.sync += finished.eq(done.all())
        with m.If(done.all() & ~finished):
            m.d.sync += self.irq.eq(1)
        return m

    def _registers(self, m, source, target, blocks, start, errors):
        take = self.s_axil_awvalid & self.s_axil_wvalid & ~self.s_axil_bvalid
        m.d.comb += [self.s_axil_awready.eq(take), self.s_axil_wready.eq(take)]
        m.d.sync += start.eq(0)
        with m.If(self.s_axil_bvalid & self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(take):
            m.d.sync += [self.s_axil_bvalid.eq(1), self.s_axil_bresp.eq(Mux(self.s_axil_awaddr > 16, 3, 0))]
            with m.Switch(self.s_axil_awaddr[2:5]):
                with m.Case(0):
                    m.d.sync += source.eq(self.s_axil_wdata)
                with m.Case(1):
                    m.d.sync += target.eq(self.s_axil_wdata)
                with m.Case(2):
                    m.d.sync += [blocks.eq(self.s_axil_wdata), start.eq(1)]
                with m.Case(3):
                    m.d.sync += [self.irq.eq(0), errors.eq(0)]
                with m.Case(4):
                    m.d.sync += self.fault.eq(self.s_axil_wdata)
        m.d.comb += self.s_axil_arready.eq(~self.s_axil_rvalid)
        with m.If(self.s_axil_rvalid & self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)
        with m.If(self.s_axil_arvalid & self.s_axil_arready):
            values = Array([source, target, blocks, errors])
            m.d.sync += [self.s_axil_rvalid.eq(1), self.s_axil_rdata.eq(values[self.s_axil_araddr[2:4]])]
        # An answer that has waited for a cycle.
        with m.If((self.fault == FAULTS.index("lite_b")) & self.s_axil_bvalid & ~self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If((self.fault == FAULTS.index("lite_r")) & self.s_axil_rvalid & ~self.s_axil_rready):
            m.d.sync += self.s_axil_rdata.eq(self.s_axil_rdata + 1)

    def _channel(self, m, c, source, target, blocks, start, errors, done):
        p = lambda name: getattr(self, f"m_axi_{c}_{name}")  # noqa: E731
        broken = lambda name: self.fault == FAULTS.index(name)  # noqa: E731
        width = self.config.axi_data_bits
        block_bytes = 2 * BEATS * self.config.beat_bytes
        store = Array(Array(Signal(width, name=f"store_{c}_{i}_{b}") for b in range(BEATS)) for i in range(2))
        got = Array(Signal(3, name=f"got_{c}_{i}") for i in range(2))
        read_at, write_at, left = Signal(32), Signal(32), Signal(16)
        which, beat, waiting = Signal(), Signal(2), Signal()
        size = clog2(self.config.beat_bytes) - broken("size")
        for a in ("ar", "aw"):
            m.d.comb += [p(f"{a}len").eq(BEATS - 1), p(f"{a}size").eq(size), p(f"{a}burst").eq(1),
                         p(f"{a}id").eq(which)]
        half = which * (BEATS * self.config.beat_bytes)
        m.d.comb += [p("araddr").eq(read_at + half), p("awaddr").eq(write_at + half),
                     p("wdata").eq(store[which][beat]), p("wstrb").eq(-1),
                     p("wlast").eq(beat == Mux(broken("wlast"), BEATS - 2, BEATS - 1)), p("rready").eq(1)]
        with m.If(broken("one_id")):
            m.d.comb += p("arid").eq(0)
        with m.If(broken("cross")):
            m.d.comb += p("araddr").eq(4096 - self.config.beat_bytes)
        with m.If(broken("stray")):
            m.d.comb += p("awaddr").eq(write_at + half + block_bytes)
        with m.If(broken("change")):
            m.d.sync += waiting.eq(~waiting)
            m.d.comb += p("wdata").eq(Cat(store[which][beat][:-1], waiting))
        with m.If(p("rvalid")):
            index = p("rid")[0]
            m.d.sync += [store[index][got[index][:2]].eq(p("rdata")), got[index].eq(got[index] + 1)]
            with m.If(p("rresp") != 0):
                m.d.sync += errors.eq(errors + 1)
        with m.FSM(name=f"channel_{c}"):
            with m.State("IDLE"):
                with m.If(start):
                    m.d.sync += [read_at.eq(source), write_at.eq(target), left.eq(blocks), done.eq(0)]
                    m.next = "BLOCK"
            with m.State("BLOCK"):
                m.d.sync += [which.eq(0), got[0].eq(0), got[1].eq(0)]
                m.next = "AR"
                with m.If(left == 0):
                    m.d.sync += done.eq(1)
                    m.next = "IDLE"
            with m.State("AR"):
                m.d.comb += p("arvalid").eq(1)
                with m.If(broken("drop")):
                    m.d.sync += waiting.eq(~waiting)
                    m.d.comb += p("arvalid").eq(waiting)
                with m.If(p("arvalid") & p("arready")):
                    m.d.sync += which.eq(~which)
                    m.next = "AR2"
            with m.State("AR2"):
                m.d.comb += p("arvalid").eq(1)
                with m.If(p("arready")):
                    m.d.sync += which.eq(0)
                    m.next = "R"
            with m.State("R"):
                with m.If((got[0] == BEATS) & (got[1] == BEATS)):
                    m.next = "AW"
            with m.State("AW"):
                m.d.comb += p("awvalid").eq(1)
                with m.If(p("awready")):
                    m.next = "W"
            with m.State("W"):
                m.d.comb += p("wvalid").eq(1)
                with m.If(p("wready")):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(beat == BEATS - 1):
                        m.next = "B"
            with m.State("B"):
                m.d.comb += p("bready").eq(1)
                with m.If(p("bvalid")):
                    with m.If(p("bresp") != 0):
                        m.d.sync += errors.eq(errors + 1)
                    m.d.sync += which.eq(~which)
                    m.next = "AW"
                    with m.If(which):
                        m.d.sync += [read_at.eq(read_at + block_bytes), write_at.eq(write_at + block_bytes),
                                     left.eq(left - 1)]
                        m.next = "BLOCK"
