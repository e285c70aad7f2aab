"""ScaleTable: both readers see every entry of all sets, one cycle after the index."""

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.scale_table import READ_LATENCY, SETS, ScaleTable
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, max_tokens=16, sram_tokens=16, max_heads=5,
                     max_group=2, slots=2, topk_lanes=4, channels=1, axi_data_bits=64)


@cocotb.test()
async def random_reads_while_writing_another_set(dut):
    heads = params()["heads"]
    bench = Bench(dut)
    dut.write_en.value = 0
    await bench.start()
    rng = bench.rng
    width = len(dut.write_entry)
    model: dict[tuple[int, int], int] = {}
    expected: list[tuple] = []
    seen = []

    def watch():
        seen.append((int(dut.softmax.value), int(dut.out.value)))

    for cycle in range(400):
        written = cycle // 40 % SETS    # the others are read
        head, value, enable = rng.randrange(heads), rng.getrandbits(width), rng.getrandbits(1)
        dut.write_en.value, dut.write_set.value = enable, written
        dut.write_head.value, dut.write_entry.value = head, value
        reads = []
        for name in ("softmax", "out"):
            index, set_ = rng.randrange(heads), (written + rng.randrange(1, SETS)) % SETS
            getattr(dut, f"{name}_set").value = set_
            getattr(dut, f"{name}_head").value = index
            reads.append(model.get((set_, index)))
        expected.append(tuple(reads))
        await bench.step(watch)
        if enable:
            model[written, head] = value
    # None: nothing was written there yet.
    known = [(w, g) for want, got in zip(expected[:-READ_LATENCY], seen[READ_LATENCY:], strict=True)
             for w, g in zip(want, got, strict=True) if w is not None]
    assert len(known) > 200 and all(w == g for w, g in known)


@pytest.mark.parametrize("heads", [1, 5])
def test_scale_table(heads):
    config = TINY.replace(max_heads=heads, max_group=min(2, heads))
    run_bench(ScaleTable(config), __name__, params={"heads": heads})
