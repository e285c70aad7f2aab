"""The checker attached to pins under cocotb: it sees all bursts of a legal design, and fails the test of another."""

import cocotb
import pytest

from spatten_hw.presets import SMALL
from spatten_hw.sim.testbench.axi_checker import AxiError
from spatten_hw.sim.testbench.pins import PinTransport
from spatten_hw.sim.testbench.runner import run_bench

from .toy import FAULTS, Toy

#: One channel: those of the toy have ids of their own, which the accelerator's have not.
CONFIG = SMALL.replace(name="watched", channels=1, axi_data_bits=32, axi_addr_bits=20)
BLOCKS = 6
LIMIT = 5000


async def copy(dut, fault):
    """Copies blocks with a toy that breaks a rule; its checker."""
    pins = await PinTransport.start(dut, CONFIG, pause=0.5, cycle_limit=LIMIT)
    for address, value in ((0x10, FAULTS.index(fault)), (0, 0x1F00), (4, 0x8000), (8, BLOCKS)):
        await pins.axil_write(address, value)
    assert await pins._wait_irq(LIMIT)
    return pins.checkers[0]


@cocotb.test()
async def legal(dut):
    assert (await copy(dut, "")).bursts == 4 * BLOCKS


@cocotb.test(expect_error=AxiError)
async def size(dut):
    await copy(dut, "size")


@cocotb.test(expect_error=AxiError)
async def drop(dut):
    await copy(dut, "drop")


@cocotb.test(expect_error=AxiError)
async def change(dut):
    await copy(dut, "change")


@pytest.mark.parametrize("case", ["legal", "size", "drop", "change"])
def test_watched_toy(case):
    run_bench(Toy(CONFIG), __name__, testcase=case)
