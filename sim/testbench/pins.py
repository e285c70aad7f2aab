"""The accelerator's flat pins as a `Transport`, answered by the AXI models of cocotbext-axi instead of our own.

    @cocotb.test()
    async def prompt(dut):
        pins = await PinTransport.start(dut, config, pause=0.3)
        result = await cocotb.task.bridge(run_workload)(workload, config, "rtl", lambda _: pins)

The host driver is plain blocking code: cocotb's `bridge` runs it in a thread, and every access that takes time comes
back into the simulation through `resume`. An `AxiLiteMaster` drives `s_axil_*`, an `AxiRam` answers each
`m_axi_<c>_*`. They check that bursts stay inside 4 KB, that a beat fits the bus and where `wlast` is; `size`, `burst`,
`len`, `strb` and ids they use, so that data are right only if those are.
"""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.task import resume
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp

from spatten_hw.config import SpAttenConfig

from .axi_checker import AxiChecker
from .axi_watch import watch_pins

# cocotbext-axi still speaks cocotb 1.x to cocotb 2; nobody else's warnings are hidden.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi")

PERIOD_NS = 2
#: Cycles a control-port access may take, pauses included.
ACCESS_LIMIT = 2000


class PinError(RuntimeError):
    """A control access was answered with an error, or the run took too long."""


class PinTransport:
    """`Transport` of one test; made by `start`. `axil` is the control port's master, `rams` the memories by channel.

    After `cycle_limit` cycles every access that takes time raises `PinError`: a run ends however the accelerator fails.
    """

    def __init__(self, dut: Any, config: SpAttenConfig, *, cycle_limit: int = 100_000):
        self.dut = dut
        self.config = config
        self.cycle_limit = cycle_limit
        # A line per burst would bury what failed.
        for prefix in ("s_axil", *(f"m_axi_{c}" for c in range(config.channels))):
            logging.getLogger(f"cocotb.{dut._name}.{prefix}").setLevel(logging.WARNING)
        self.axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.rams = [AxiRam(AxiBus.from_prefix(dut, f"m_axi_{c}"), dut.clk, dut.rst, size=1 << config.axi_addr_bits)
                     for c in range(config.channels)]
        #: Protocol checkers of the memory ports.
        self.checkers: list[AxiChecker] = []
        self._start = 0

    @classmethod
    async def start(cls, dut: Any, config: SpAttenConfig, *, pause: float = 0.0, cycle_limit: int = 100_000,
                    seed: int | None = None) -> PinTransport:
        """Starts the clock, connects the models, resets. `pause`: probability per cycle and channel that a model is
        not ready, or holds back what it would send; `seed` (default: cocotb's) of that."""
        dut.rst.value = 0
        Clock(dut.clk, PERIOD_NS, "ns", impl="gpi").start()
        pins = cls(dut, config, cycle_limit=cycle_limit)
        pins.checkers = watch_pins(dut, config)
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 1
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)
        if pause:
            rng = random.Random(cocotb.RANDOM_SEED if seed is None else seed)
            for channel in pins.channels():
                channel.set_pause_generator(_pauses(rng.getrandbits(32), pause))
        pins._start = _now()
        return pins

    def channels(self) -> list[Any]:
        """The models' ends of all AXI channels."""
        ends = []
        for model in (self.axil, *self.rams):
            write, read = model.write_if, model.read_if
            ends += [write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel]
        return ends

    # -- Transport: called from a thread of `bridge` -----------------------------------------------------

    def read32(self, address: int) -> int:
        """Reads a register."""
        data, response = resume(self.axil_read)(address)
        self._answer(response, f"read of register 0x{address:03x}")
        return data

    def write32(self, address: int, value: int) -> None:
        """Writes a register."""
        self._answer(resume(self.axil_write)(address, value), f"write of register 0x{address:03x}")

    def mem_write(self, channel: int, address: int, data: bytes) -> None:
        """Puts bytes at a channel-local address, in no time."""
        self.rams[channel].write(address, data)

    def mem_read(self, channel: int, address: int, size: int) -> bytes:
        """Bytes at a channel-local address, in no time."""
        return self.rams[channel].read(address, size)

    def wait_irq(self, max_cycles: int) -> bool:
        """Runs until the interrupt is high (True) or for `max_cycles` (False)."""
        return resume(self._wait_irq)(max_cycles)

    @property
    def cycles(self) -> int:
        """Clock cycles since reset."""
        return _now() - self._start

    def __enter__(self) -> PinTransport:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to free: cocotb ends the models with the test."""

    # -- coroutines --------------------------------------------------------------------------------------

    async def axil_read(self, address: int) -> tuple[int, AxiResp]:
        """Word and response of a register read."""
        answer = await self._in_time(self.axil.read(address, 4))
        return int.from_bytes(answer.data, "little"), answer.resp

    async def axil_write(self, address: int, value: int) -> AxiResp:
        """Response of a register write."""
        return (await self._in_time(self.axil.write(address, value.to_bytes(4, "little")))).resp

    async def _in_time(self, access: Any) -> Any:
        return await with_timeout(cocotb.start_soon(access), ACCESS_LIMIT * PERIOD_NS, "ns")

    async def _wait_irq(self, max_cycles: int) -> bool:
        left = min(max_cycles, self._left())
        if not int(self.dut.irq.value):
            await First(RisingEdge(self.dut.irq), Timer(left * PERIOD_NS, "ns"))
        return bool(int(self.dut.irq.value))

    def _left(self) -> int:
        left = self.cycle_limit - self.cycles
        if left <= 0:
            raise PinError(f"cycle limit {self.cycle_limit} reached")
        return left

    def _answer(self, response: AxiResp, what: str) -> None:
        if response != AxiResp.OKAY:
            raise PinError(f"{what}: answered {response.name}")
        self._left()


def _now() -> int:
    return int(get_sim_time("ns")) // PERIOD_NS


def _pauses(seed: int, probability: float) -> Iterator[bool]:
    rng = random.Random(seed)
    while True:
        yield rng.random() < probability
