"""The golden model of the fetcher against hand-made cases."""

import numpy as np

from spatten_hw.sim.golden.fetch import joined_operands, msb_operands, plane_beats, row_beats, row_bursts, unpack_plane

from .rows import TINY


def test_row_beats_counts_touched_beats():
    c = TINY    # 8-byte beats, 32-byte granules
    assert row_beats([0, 7, 8, 30, 31], [8, 2, 1, 4, 1], c).tolist() == [1, 2, 1, 2, 1]
    assert row_bursts([0, 7, 8, 30, 31], [8, 2, 24, 4, 1], c).tolist() == [1, 1, 1, 2, 1]
    rng = np.random.default_rng(1)
    addr, size = rng.integers(0, 200, 100), rng.integers(1, 60, 100)
    touched = [len({b // 8 for b in range(a, a + n)}) for a, n in zip(addr, size, strict=True)]
    assert row_beats(addr, size, c).tolist() == touched


def test_plane_beats_sums_the_rows_of_a_head():
    assert plane_beats(4, 2, 100, [0, 3], 12, 8, 12, TINY) == int(row_beats([204, 240], 12, TINY).sum())


def test_unpack_is_little_endian_and_signed():
    raw = (0x5 | 0xF << 6 | 0x20 << 12 | 0x3F << 18).to_bytes(3, "little")
    assert unpack_plane(raw, 4, 6, True).tolist() == [5, 15, -32, -1]
    assert unpack_plane(raw, 4, 6, False).tolist() == [5, 15, 32, 63]


def test_operands_from_planes():
    assert msb_operands([-1, 3], 4, False).tolist() == [-16, 48]
    assert msb_operands([-1, 3], 4, True).tolist() == [-8, 56]
    assert msb_operands([-1, 3], 0, True).tolist() == [-1, 3]
    assert joined_operands([-1, 3], [15, 2]).tolist() == [-1, 50]
