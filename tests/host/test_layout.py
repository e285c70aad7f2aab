"""Packing, allocation and the map from logical addresses to channels."""

import numpy as np
import pytest

from spatten_hw.config import PLANE_WIDTHS, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.layout import Arena, channel_of, logical_of, pack_rows, row_bytes, scatter, unpack_rows
from spatten_hw.presets import EIGHTH

TINY = SpAttenConfig(multipliers=16, min_dim=4, max_dim=16, max_tokens=32, sram_tokens=32, max_heads=4, max_group=2,
                     slots=4, topk_lanes=4, channels=4, axi_data_bits=64, axi_addr_bits=20, interleave_bytes=16,
                     k_ports=4, v_ports=4)


@pytest.mark.parametrize("bits", PLANE_WIDTHS)
@pytest.mark.parametrize("dim", [4, 32])
def test_pack_and_unpack(bits, dim):
    rng = np.random.default_rng(bits)
    x = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (2, 3, dim))
    rows = pack_rows(x, bits)
    assert rows.shape == (2, 3, row_bytes(dim, bits)) and rows.dtype == np.uint8
    assert np.array_equal(unpack_rows(rows, dim, bits), x)
    assert np.array_equal(unpack_rows(rows, dim, bits, signed=False), x & ((1 << bits) - 1))
    # Element 0 in the lowest bits, little endian: the row is one integer.
    value = sum(int(e & ((1 << bits) - 1)) << (bits * i) for i, e in enumerate(x[1, 2]))
    assert rows[1, 2].tobytes() == value.to_bytes(row_bytes(dim, bits), "little")


def test_channel_map_is_the_contract_and_invertible():
    a = np.arange(4096)
    channel, local = channel_of(a, TINY)
    assert np.array_equal(channel, a // 16 % 4 ^ a // 64 % 4 ^ a // 256 % 4)
    assert np.array_equal(local, a // 64 * 16 + a % 16)
    assert np.array_equal(logical_of(channel, local, TINY), a)


def test_strides_of_whole_rounds_reach_every_channel():
    for stride in (16, 64, 256):
        channel, _ = channel_of(np.arange(4) * stride, TINY)
        assert sorted(channel) == [0, 1, 2, 3], stride


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("addr,nbytes", [(0, 1), (5, 3), (15, 2), (7, 1000), (64, 64), (130, 17), (3, 0)])
def test_scatter_covers_every_byte_once(channels, addr, nbytes):
    config = TINY.replace(channels=channels)
    seen = np.zeros(nbytes, dtype=int)
    for piece in scatter(addr, nbytes, config):
        seen[piece.index] += 1
        channel, local = channel_of(addr + piece.index, config)
        assert np.all(channel == piece.channel)
        assert np.array_equal(local, piece.local + np.arange(len(piece.index)))
    assert np.all(seen == 1)


def test_arena_aligns_and_refuses_what_does_not_fit():
    arena = Arena(TINY, base=1)
    first = arena.alloc(1)
    second = arena.plane(2, 3, 20)
    assert first == 4096 and second.base == 8192 and second.head_stride == 72
    assert second.address(1, np.array([0, 2])).tolist() == [8264, 8312]
    assert arena.out_plane(2, 3, 4).token_stride % TINY.beat_bytes == 0
    with pytest.raises(UserError, match="axi_addr_bits"):
        arena.alloc(1 << 22)


@pytest.mark.parametrize("heads", [1, 2, 3, 4])
def test_pairs_lie_side_by_side(heads):
    """Rows of 12 bytes: heads 2j and 2j + 1 of a token in three beats of 8, the next token behind them."""
    x = np.random.default_rng(heads).integers(-32, 32, (heads, 5, 16))
    plane = Arena(TINY).plane(heads, 5, 12, pair=True)
    image = plane.image(pack_rows(x, 6))
    assert (plane.token_stride, plane.head_stride) == (24, 120)
    assert len(image) == plane.size(heads) == (heads + 1) // 2 * 120
    for head in range(heads):
        at = plane.address(head, np.arange(5)) - plane.base
        assert at.tolist() == [head // 2 * 120 + head % 2 * 12 + t * 24 for t in range(5)]
        assert np.array_equal(unpack_rows(np.stack([image[a:a + 12] for a in at]), 16, 6), x[head])
    if heads % 2:
        assert not image[-120:].reshape(5, 2, 12)[:, 1].any(), "nothing beside a head without a partner"


def test_pairs_end_on_a_beat():
    """Two rows of 10 bytes are 20, padded to three beats of 8; the block after them overlaps nothing."""
    arena = Arena(TINY)
    plane = arena.plane(3, 7, 10, pair=True)
    assert plane.token_stride == 24 and arena.next >= plane.base + plane.size(3) == plane.base + 2 * 7 * 24


def test_image_puts_rows_at_their_strides():
    plane = Arena(TINY).plane(2, 3, 20)
    rows = np.arange(120, dtype=np.uint8).reshape(2, 3, 20) + 1
    image = plane.image(rows)
    assert len(image) == 2 * plane.head_stride
    for head in range(2):
        for token in range(3):
            at = int(plane.address(head, np.array(token))) - plane.base
            assert np.array_equal(image[at:at + 20], rows[head, token])
    assert np.count_nonzero(image) == 120


@pytest.mark.parametrize("pair", [False, True])
def test_parts_of_a_plane_make_up_the_whole(pair):
    plane = Arena(EIGHTH, 4096).plane(3, 7, 20, pair=pair)
    rows = np.random.default_rng(1).integers(1, 255, (3, 7, 20), dtype=np.uint8)
    memory = np.zeros(plane.base + plane.size(3), dtype=np.uint8)
    for first, last in ((3, 7), (0, 1), (1, 3)):
        for at, data in plane.part(first, rows[:, first:last]):
            assert not memory[at:at + len(data)].any(), "nothing is written twice"
            memory[at:at + len(data)] = data
    assert np.array_equal(memory[plane.base:], plane.image(rows))
