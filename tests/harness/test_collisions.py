"""In every simulation, what a memory with `no_rw_check` reads while the word is written is not the old word."""

import cocotb
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from cocotb.triggers import FallingEdge

from spatten_hw.primitives.registers import NO_COLLISIONS
from spatten_hw.sim.harness.collisions import inverted_collisions
from spatten_hw.sim.testbench.runner import run_bench
from spatten_hw.sim.testbench.streams import Bench
from spatten_hw.verilog import to_verilog

#: Words written one after the other to an address that is read in every cycle.
FIRST, SECOND = 0b1010_0110, 0b0001_1111


class Store(wiring.Component):
    """A memory of four words that is written and read at an address each."""

    write: In(1)
    to: In(2)
    data: In(8)
    at: In(2)
    read: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=4, init=[], attrs=NO_COLLISIONS)
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.en.eq(self.write), write.addr.eq(self.to), write.data.eq(self.data),
                     read.en.eq(1), read.addr.eq(self.at), self.read.eq(read.data)]
        return m


@cocotb.test()
async def meets(dut):
    await Bench(dut).start()
    seen = []
    for write, data in ((1, FIRST), (0, 0), (1, SECOND), (0, 0)):
        dut.write.value, dut.data.value = write, data
        await FallingEdge(dut.clk)
        seen.append(int(dut.read.value))
    assert seen[1:] == [FIRST, FIRST ^ 0xFF, SECOND]


def test_a_cocotb_bench():
    run_bench(Store(), __name__)


def test_a_memory_that_is_written_in_another_way_is_not_lost():
    text = to_verilog(Store(), "store").replace("if (", "if( ")
    with pytest.raises(ValueError, match="not written as the backend used to"):
        inverted_collisions(text)
