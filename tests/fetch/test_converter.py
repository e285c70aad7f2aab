"""Bit-width converter: every width, plane and head dimension, against the golden model's operands."""

from itertools import accumulate

import cocotb
import pytest

from spatten_hw.config import LSB_WIDTH, SpAttenConfig
from spatten_hw.fetch.aligner import row_mode
from spatten_hw.fetch.chunk import chunk_elements, chunk_places, chunk_words, section_elements
from spatten_hw.fetch.conversion import has_lsbs, plane_widths
from spatten_hw.fetch.converter import BitWidthConverter
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params, run_bench

from .rows import TINY, both_rows, elements, lsb_row, msb_row, pack_fields, pack_mode

KINDS = ("plain", "pair", "msb", "mid", "lsb", "both")


def words(rng, c, row: bytes, error: bool, **mode) -> list[int]:
    """`row_word`s of the row; what is beyond it, and what its words but the last say of errors, is anything."""
    out = []
    for at in range(0, len(row), c.beat_bytes):
        word = (row[at:at + c.beat_bytes] + rng.randbytes(c.beat_bytes))[:c.beat_bytes]
        last = at + c.beat_bytes >= len(row)
        out.append(pack_fields((int.from_bytes(word, "little"), c.axi_data_bits), (last, 1),
                               (error if last else rng.getrandbits(1), 1), (pack_mode(**mode), row_mode().size)))
    return out


def random_row(rng, c, kinds):
    """(words, operands, error, what) of one row."""
    dim = rng.choice(c.dims)
    kind = rng.choice([kind for kind in kinds if has_lsbs(c) or kind in KINDS[:2]])
    joined = kind in ("msb", "mid", "both")
    width = 4 if kind == "lsb" else rng.choice([w for w in plane_widths(c) if w + 4 * joined <= c.operand_bits])
    if kind == "pair":                                       # two heads' rows, side by side
        dim = min(2 * dim, c.max_dim)
    msb, lsb = rng.randbytes(dim * width // 8), rng.randbytes(dim * LSB_WIDTH // 8)
    error, error_lsb = rng.random() < 0.1, rng.random() < 0.1
    what = (kind, width, dim)
    if kind == "lsb":
        return words(rng, c, lsb, error, width=4, lsb=1), lsb_row(lsb, 0, dim), error, what
    if kind == "both":
        return (words(rng, c, msb, error, width=width, shift=1, hold=1)
                + words(rng, c, lsb, error_lsb, width=4, lsb=1, join=1),
                both_rows(msb + lsb, 0, len(msb), dim, width), error or error_lsb, what)
    shift = kind in ("msb", "mid")
    return (words(rng, c, msb, error, width=width, shift=shift, mid=kind == "mid"),
            msb_row(msb, 0, dim, width, LSB_WIDTH * shift, kind == "mid"), error, what)


async def exchange(dut, count, kinds=KINDS, *, source=0.0, sink=0.0):
    """`count` rows of `kinds` through the converter, checked. Returns rows, source and sink."""
    c = SpAttenConfig(**params()["config"])
    bench = Bench(dut, ["i"], ["o"])
    await bench.start()
    rows = [random_row(bench.rng, c, kinds) for _ in range(count)]
    sent = bench.send("i", [word for row in rows for word in row[0]], stall=source)
    out = bench.receive("o", stall=sink)
    ends = list(accumulate(len(row[0]) for row in rows))

    before = [0, 0]                                          # words in, rows out, up to the last edge

    def looks():
        # A row is inside from its first word to the cycle in which it is taken.
        taken, done = before
        if taken > (ends[done - 1] if done else 0):
            assert not int(dut.idle.value), f"{taken} words taken, {done} rows gone"
        before[:] = len(sent.cycles), len(out.items)

    await bench.run(lambda: len(out.items) >= len(rows), len(rows) * 100 + 100, looks)
    for number, ((_, want, error, what), got) in enumerate(zip(rows, out.items, strict=True)):
        assert elements(got, len(want), c.operand_bits) == want, (number, what)
        assert got >> (c.max_dim * c.operand_bits) == error, (number, what)
    for _ in range(3):
        await bench.step()
    assert int(dut.idle.value)
    return rows, sent, out


@cocotb.test()
async def rows_of_every_kind(dut):
    await exchange(dut, 300)


@cocotb.test()
async def rows_under_stalls(dut):
    await exchange(dut, 150, source=0.3, sink=0.4)


@cocotb.test()
async def one_word_per_cycle(dut):
    """Rows without a pause leave without one, `LATENCY` cycles behind their last words."""
    rows, sent, out = await exchange(dut, 100, ("plain",))
    taken = sent.cycles
    assert taken[-1] - taken[0] == len(taken) - 1
    ends, at = [], -1
    for row in rows:
        at += len(row[0])
        ends.append(taken[at])
    assert {o - e for o, e in zip(out.cycles, ends, strict=True)} == {BitWidthConverter.LATENCY}


CASES = {
    "12 bits": TINY,
    "16 bits, three dimensions": TINY.replace(multipliers=64, min_dim=4, max_dim=16, operand_bits=16, topk_lanes=16,
                                              k_ports=16, v_ports=16),
    "16 bits, words of 32": TINY.replace(operand_bits=16, axi_data_bits=32),
    "words longer than rows": TINY.replace(axi_data_bits=256),
    "narrow operands": TINY.replace(operand_bits=6, channels=1),
}


@pytest.mark.parametrize("case", CASES)
def test_chunks(case):
    """Bit by bit, for rows of every width and length: a word completes one chunk at most, and every chunk is, where it
    is taken, in the words that are kept, within the bits that are chosen there."""
    c = CASES[case]
    for width in plane_widths(c):
        for dim in (*c.dims, *(2 * d for d in c.dims if 2 * d <= c.max_dim)):
            size = chunk_elements(c, width) * width
            ends = [min(end, dim * width) for end in range(size, dim * width + size, size)]
            words = [-(-end // c.axi_data_bits) for end in ends]        # words read when the chunk is there
            assert len(set(words)) == len(words), (width, dim)
            for chunk, seen in enumerate(words):
                start = chunk * size - (seen - chunk_words(c)) * c.axi_data_bits
                quarters, rest = divmod(start, c.axi_data_bits // 4)
                assert rest == 0 and chunk_places(c)[quarters] >= ends[chunk] - chunk * size, (width, dim, chunk)
    assert c.max_dim % section_elements(c) == 0


@pytest.mark.parametrize("case", CASES)
def test_converter(case):
    run_bench(BitWidthConverter(CASES[case]), __name__, params={"config": CASES[case].fields})
