"""Bit-width converter: every width, plane and head dimension, against the golden model's operands."""

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from sim.testbench import Bench
from sim.testbench.runner import params, run_bench
from spatten_hw.config import LSB_WIDTH, SpAttenConfig
from spatten_hw.fetch.converter import BitWidthConverter, conversion, has_lsbs, plane_widths, selector_copies

from .rows import TINY, both_rows, elements, lsb_row, msb_row, pack_fields


def random_row(rng, c, dim, width, kind):
    """(field of D·W bits, operands)."""
    msb, lsb = rng.randbytes(dim * width // 8 + 1), rng.randbytes(dim)
    if kind == "lsb":
        return int.from_bytes(lsb[:dim * LSB_WIDTH // 8], "little"), lsb_row(lsb, 0, dim)
    field = int.from_bytes(msb, "little") & ((1 << dim * width) - 1)
    if kind == "both":
        field |= int.from_bytes(lsb[:dim * LSB_WIDTH // 8], "little") << dim * (c.operand_bits - LSB_WIDTH)
        return field, both_rows(msb + lsb, 0, len(msb), dim, width)
    return field, msb_row(msb, 0, dim, width, LSB_WIDTH * (kind in ("msb", "mid")), kind == "mid")


@cocotb.test()
async def rows_of_every_kind(dut):
    p = params()
    c = SpAttenConfig(**p["config"])
    bench = Bench(dut, [], [])
    await bench.start()
    rng = bench.rng
    slices = c.slices
    for number in range(150):
        d = rng.randrange(len(c.dims))
        dim = c.dims[d]
        kind = rng.choice(["plain", "msb", "mid", "lsb", "both"] if has_lsbs(c) else ["plain"])
        joined = kind in ("msb", "mid", "both")
        width = 4 if kind == "lsb" else rng.choice([w for w in plane_widths(c) if w + 4 * joined <= c.operand_bits])
        rows = [random_row(rng, c, dim, width, kind) for _ in range(c.multipliers // dim)]
        dut.dim_log2.value = d
        widths = plane_widths(c)
        one_hot = 1 << widths.index(width)
        how = pack_fields((one_hot, len(widths)), (one_hot * (kind != "lsb"), len(widths)), (joined, 1),
                          (kind == "both", 1), (kind == "mid", 1))
        dut.conversions.value = sum(how << (n * conversion(c).size) for n in range(slices * selector_copies(c)))
        dut.raw.value = sum(field << (r * dim * c.operand_bits) for r, (field, _) in enumerate(rows))
        dut.en.value = 1
        await FallingEdge(dut.clk)
        dut.en.value = 0
        dut.raw.value = rng.getrandbits(slices * c.min_dim * c.operand_bits)
        await FallingEdge(dut.clk)  # held while not enabled
        got = int(dut.operands.value)
        for r, (_, want) in enumerate(rows):
            found = elements(got >> (r * dim * c.operand_bits), dim, c.operand_bits)
            assert found == want, (number, kind, width, dim, r)


CASES = {
    "12 bits": TINY,
    "16 bits, three dimensions": TINY.replace(multipliers=64, min_dim=4, max_dim=16, operand_bits=16, topk_lanes=16,
                                              k_ports=16, v_ports=16),
    "narrow operands": TINY.replace(operand_bits=6, channels=1),
}


@pytest.mark.parametrize("case", CASES)
def test_converter(case):
    config = CASES[case]
    run_bench(BitWidthConverter(config, config.slices), __name__, params={"config": config.fields})
