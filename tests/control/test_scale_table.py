"""ScaleTable: both readers see every entry of both halves, one cycle after the index."""

import cocotb
import pytest

from sim.testbench import Bench
from sim.testbench.runner import params, run_bench
from spatten_hw.config import SpAttenConfig
from spatten_hw.control.scale_table import READ_LATENCY, ScaleTable

TINY = SpAttenConfig(multipliers=16, min_dim=4, max_dim=16, max_tokens=16, sram_tokens=16, max_heads=5,
                     max_group=2, slots=2, topk_lanes=4, channels=1, axi_data_bits=64, interleave_bytes=32,
                     k_ports=4, v_ports=4)


@cocotb.test()
async def random_reads_while_writing_the_other_half(dut):
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
        half = cycle // 40 % 2  # being written; the other is read
        head, value, enable = rng.randrange(heads), rng.getrandbits(width), rng.getrandbits(1)
        dut.write_en.value, dut.write_half.value = enable, half
        dut.write_head.value, dut.write_entry.value = head, value
        reads = []
        for name in ("softmax", "out"):
            index = rng.randrange(heads)
            getattr(dut, f"{name}_half").value = 1 - half
            getattr(dut, f"{name}_head").value = index
            reads.append(model.get((1 - half, index)))
        expected.append(tuple(reads))
        await bench.step(watch)
        if enable:
            model[half, head] = value
    for want, got in zip(expected, seen[READ_LATENCY:], strict=False):
        assert all(w is None or w == g for w, g in zip(want, got, strict=True))


@pytest.mark.parametrize("heads", [1, 5])
def test_scale_table(heads):
    config = TINY.replace(max_heads=heads, max_group=min(2, heads))
    run_bench(ScaleTable(config), __name__, params={"heads": heads})
