"""AXI4-Lite: the ports, and how reads and writes of the registers are answered."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..interface.registers import ADDRESS_BITS, COUNTER_BASE, COUNTER_INDEX_BITS, COUNTERS, RO, registers
from .counters import PerformanceCounters

OKAY, SLVERR = 0, 2


def axil_signature() -> wiring.Signature:
    """AXI4-Lite as plain signals, directions of a master: 32 data bits, `ADDRESS_BITS` address bits."""
    return wiring.Signature({
        "awaddr": Out(ADDRESS_BITS), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(ADDRESS_BITS), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })


def answer_reads(m: Module, bus: wiring.PureInterface, config: SpAttenConfig, counters: PerformanceCounters,
                 high: Signal, values: dict[str, Value], pop: Signal) -> None:
    """Answers reads; `values` of the registers that are not constant, `high`: register for the high word of the counter
    read last, `pop`: COMPLETION has been read."""
    table = registers(config)
    address = Signal(ADDRESS_BITS, name="read_address")
    waiting = Signal(name="read_waiting")
    word = Signal(32, name="read_word")
    known = Signal(name="read_known")
    is_counter = Signal(name="read_counter")
    completion = Signal(name="read_completion")
    m.d.comb += bus.arready.eq(~waiting)
    with m.If(bus.arvalid & bus.arready):
        m.d.sync += [address.eq(bus.araddr), waiting.eq(1)]
    end = COUNTER_BASE + 8 * len(COUNTERS)
    with m.Switch(address[2:]):
        for r in table:
            if not COUNTER_BASE <= r.offset < end:
                with m.Case(r.offset >> 2):
                    m.d.comb += [known.eq(1), word.eq(values.get(r.name, r.reset))]
                    if r.name == "COMPLETION":
                        m.d.comb += completion.eq(1)
    with m.If((address >= COUNTER_BASE) & (address < end)):
        m.d.comb += [known.eq(1), word.eq(high), is_counter.eq(~address[2])]
    m.d.comb += [
        counters.index.eq((address - COUNTER_BASE)[3:3 + COUNTER_INDEX_BITS]),
        counters.request.eq(waiting & ~bus.rvalid & is_counter),
    ]
    with m.If(bus.rready):
        m.d.sync += bus.rvalid.eq(0)
    with m.If(waiting & ~bus.rvalid & (~is_counter | counters.done)):
        m.d.sync += [
            waiting.eq(0), bus.rvalid.eq(1), bus.rresp.eq(Mux(known, OKAY, SLVERR)),
            bus.rdata.eq(Mux(is_counter, counters.value[:32], word)),
        ]
        m.d.comb += pop.eq(completion)
        with m.If(is_counter):
            m.d.sync += high.eq(counters.value[32:])


def take_writes(m: Module, bus: wiring.PureInterface,
                config: SpAttenConfig) -> tuple[dict[str, Signal], Signal, Signal]:
    """Takes writes; returns a pulse per writable register, the data and the mask of its strobed bits."""
    table = registers(config)
    address = Signal(ADDRESS_BITS, name="write_address")
    have_address = Signal(name="write_has_address")
    have_data = Signal(name="write_has_data")
    write_data = Signal(32)
    strobe = Signal(4, name="write_strobe")
    write_mask = Signal(32)
    known = Signal(name="write_known")
    now = Signal(name="write_now")
    m.d.comb += [
        bus.awready.eq(~have_address), bus.wready.eq(~have_data),
        write_mask.eq(Cat(s.replicate(8) for s in strobe)),
        now.eq(have_address & have_data & ~bus.bvalid),
    ]
    with m.If(bus.awvalid & bus.awready):
        m.d.sync += [address.eq(bus.awaddr), have_address.eq(1)]
    with m.If(bus.wvalid & bus.wready):
        m.d.sync += [write_data.eq(bus.wdata), strobe.eq(bus.wstrb), have_data.eq(1)]
    written = {}
    with m.Switch(address[2:]):
        for r in table:
            if r.access != RO:
                pulse = Signal(name=f"write_{r.name.lower()}")
                written[r.name] = pulse
                with m.Case(r.offset >> 2):
                    m.d.comb += [known.eq(1), pulse.eq(now & strobe.any())]
    with m.If(bus.bready):
        m.d.sync += bus.bvalid.eq(0)
    with m.If(now):
        m.d.sync += [
            have_address.eq(0), have_data.eq(0), bus.bvalid.eq(1), bus.bresp.eq(Mux(known, OKAY, SLVERR)),
        ]
    return written, write_data, write_mask
