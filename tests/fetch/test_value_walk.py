"""Kept rows in the queue of `ValueWalk`: they wait while keys are wanted, and it is not idle while it holds one."""

import cocotb

from spatten_hw.fetch.value_walk import ValueWalk
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import run_bench
from spatten_hw.stream.layouts import kept_row, tag_layout

from .rows import TINY

#: Cycles from a kept row's arrival to the walk's command, at most.
SOON = 12


@cocotb.test()
async def a_waiting_row_is_not_idle(dut):
    bench = Bench(dut, ["fills", "kept"], ["o"])
    for name in ("msb_base", "lsb_base", "msb_stride", "lsb_stride", "has_lsb"):
        getattr(dut, name).value = 0
    dut.keys_wanted.value = 1
    await bench.start()
    assert int(dut.idle.value) == 1
    for held in (1, 2, 3):
        out = bench.receive("o")
        tag = tag_layout(TINY).const({"stream_v": 1}).as_bits()
        row = kept_row(TINY).const({"count": 1, "last": 1, "k": 0, "tag": tag})
        bench.send("kept", [row.as_bits()] * held)
        for _ in range(held + 2):
            await bench.step()
        for _ in range(10):
            assert int(dut.idle.value) == 0 and not out.items, f"{held} rows wait"
            await bench.step()
        dut.keys_wanted.value = 0
        await bench.run(lambda out=out, held=held: len(out.items) == held, limit=held + SOON)
        dut.keys_wanted.value = 1
        await bench.idle(3)
        assert int(dut.idle.value) == 1


def test_kept_rows_wait():
    run_bench(ValueWalk(TINY), __name__, testcase="a_waiting_row_is_not_idle", params={})
