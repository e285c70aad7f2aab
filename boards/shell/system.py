"""The complete system of a board: accelerator, memory, serial link, lights."""

from __future__ import annotations

from typing import Protocol

from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.accelerator import Accelerator
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.link.protocol import DEFAULT_BAUD
from spatten_hw.interface.registers import register_map
from spatten_hw.stream.fifo import StreamFifo
from spatten_hw.stream.skid import SkidBuffer

from .bridge import Bridge
from .frame_receiver import character_layout
from .leds import LED_COUNT, StatusLeds
from .memory_arbiter import MemoryArbiter
from .uart import UartReceiver, UartTransmitter, clocks_per_bit

#: Characters that may wait while a request is served.
CHARACTERS_WAITING = 64


class SystemMemory(Protocol):
    """What a system's memory is: `BlockRam`, `Sdram`, or another that answers bursts in their order."""

    @property
    def size(self) -> int:
        """Bytes, from address 0."""

    @property
    def pins(self) -> dict[str, wiring.Member]:
        """Ports it adds to the system: chips outside."""

    def build(self, config: SpAttenConfig, /) -> wiring.Component:
        """The component: `port`, an AXI slave (`memory_port`), and the pins."""


class System(wiring.Component):
    """Ports: `uart_rx`, `uart_tx` (rest at 1), `leds` (4, 1 = on; `leds.StatusLeds`), and the pins of `memory`.

    One clock, `sync`, of `clock_hz`, with a reset that ends after configuration. `config` must have one memory channel.
    Raises `UserError` if it has more, if the memory does not suit it or if `baud` cannot be made from the clock.

    A board file instantiates it so (Amaranth platform; the clock from the board's oscillator or a PLL into `sync`):

        m.submodules.system = system = System(config, clock_hz=25_000_000, memory=BlockRam(64 * 1024))
        uart = platform.request("uart", 0)
        m.d.comb += [system.uart_rx.eq(uart.rx.i), uart.tx.o.eq(system.uart_tx)]
        for n in range(len(system.leds)):
            m.d.comb += platform.request("led", n).o.eq(system.leds[n])

    With `memory=Sdram(...)` there is a port `sdram` more (`sdram_pins.connect_sdram` ties it to the board's resource).

    A break on `uart_rx` (low for 30 bits) resets everything but the line's receiver; the host's RESET the accelerator.
    """

    def __init__(self, config: SpAttenConfig, *, clock_hz: int, memory: SystemMemory, baud: int = DEFAULT_BAUD):
        self._MustUse__silence = True       # one that is refused here is never elaborated
        if config.channels != 1:
            raise UserError(f"channels = {config.channels}: the boards' system has one memory port; set channels=1")
        try:
            self.divisor = clocks_per_bit(clock_hz, baud)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._MustUse__silence = False
        self.config = config
        self.clock_hz = clock_hz
        self.baud = baud
        self.memory = memory
        super().__init__({
            "uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "leds": Out(LED_COUNT), **memory.pins,
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        # Everything behind the line can be reset from it, and the accelerator by request: same clock, more resets.
        self._domain(m, "link", receiver.broken)
        in_link = DomainRenamer("link")
        m.submodules.transmitter = transmitter = in_link(UartTransmitter(self.divisor))
        m.submodules.waiting = waiting = in_link(StreamFifo(character_layout(), CHARACTERS_WAITING))
        m.submodules.bridge = bridge = in_link(Bridge(c, self.clock_hz, self.memory.size))
        self._domain(m, "core", receiver.broken | bridge.reset)
        in_core = DomainRenamer("core")
        m.submodules.accelerator = accelerator = in_core(Accelerator(c))
        m.submodules.arbiter = arbiter = in_core(MemoryArbiter(c))
        m.submodules.memory = memory = in_core(self.memory.build(c))
        m.submodules.lights = lights = StatusLeds(self.clock_hz)

        # Line. A character that finds no room is lost, and the next one says so.
        lost = Signal()
        arrived = Signal()
        m.d.comb += [
            receiver.rx.eq(self.uart_rx), self.uart_tx.eq(transmitter.tx),
            arrived.eq(receiver.strobe | receiver.error),
            waiting.i.valid.eq(arrived), waiting.i.payload.data.eq(receiver.data),
            waiting.i.payload.bad.eq(receiver.error | lost),
        ]
        with m.If(arrived):
            m.d.sync += lost.eq(~waiting.i.ready)
        # Out of the FIFO's memory, before it is compared and summed up.
        m.submodules.characters_skid = skid = in_link(SkidBuffer(character_layout()))
        connect(m, waiting.o, skid.i)
        connect(m, skid.o, bridge.characters)
        connect(m, bridge.o, transmitter.i)

        # Registers and memory.
        connect(m, bridge.axil, accelerator.axil)
        connect(m, bridge.memory, arbiter.bridge)
        port = arbiter.accelerator
        connect(m, accelerator.ar[0], port.ar)
        connect(m, port.r, accelerator.r[0])
        connect(m, accelerator.aw[0], port.aw)
        connect(m, accelerator.w[0], port.w)
        connect(m, port.b, accelerator.b[0])
        connect(m, arbiter.memory, memory.port)
        for name in self.memory.pins:
            connect(m, getattr(memory, name), flipped(getattr(self, name)))
        m.d.comb += bridge.irq.eq(accelerator.irq)

        self._connect_lights(m, lights, receiver, accelerator, bridge)
        return m

    def _domain(self, m: Module, name: str, reset: Value) -> None:
        """A domain with the clock of `sync`, reset with it (a cycle later, from a register) and by `reset`."""
        domain = ClockDomain(name, local=True)
        m.domains += domain
        held = Signal(name=f"{name}_reset", init=1)
        m.d.sync += held.eq(reset)
        m.d.comb += [domain.clk.eq(ClockSignal()), domain.rst.eq(held)]

    def _connect_lights(self, m: Module, lights: StatusLeds, receiver: UartReceiver, accelerator: Accelerator,
                        bridge: Bridge) -> None:
        completion = register_map(self.config)["COMPLETION"]
        fields = {f.name: f for f in completion.fields}
        error, valid = fields["ERROR"], fields["VALID"]
        bus = bridge.axil
        asked = Signal()
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += asked.eq(bus.araddr == completion.offset)
        m.d.comb += [
            lights.received.eq(receiver.strobe), lights.clear.eq(bridge.reset | receiver.broken),
            lights.traffic.eq((accelerator.r[0].valid & accelerator.r[0].ready)
                              | (accelerator.w[0].valid & accelerator.w[0].ready)),
            lights.failed.eq(bus.rvalid & bus.rready & asked & bus.rdata[valid.lsb]
                             & bus.rdata[error.lsb:error.lsb + error.width].any()),
            self.leds.eq(lights.leds),
        ]
