"""Packing, places of rows, allocation, survivors."""

import numpy as np
import pytest

from spatten_hw.config import PLANE_WIDTHS, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.layout import Arena, Plane
from spatten_hw.host.rows import (
    BIT_PLANES,
    pack_outputs,
    pack_rows,
    packed_bytes,
    row_beats,
    row_bytes,
    unpack_outputs,
    unpack_rows,
)
from spatten_hw.host.words import pack_survivors, place_of_words, survivor_words, unpack_survivors

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, max_tokens=32, sram_tokens=32, max_heads=4, max_group=2,
                     slots=4, topk_lanes=4, channels=4, axi_data_bits=64, axi_addr_bits=20, reads=4, pool_beats=16)


@pytest.mark.parametrize("bits", PLANE_WIDTHS)
@pytest.mark.parametrize("dim", [4, 12, 32])
@pytest.mark.parametrize("align", [1, 4])
def test_pack_and_unpack(bits, dim, align):
    rng = np.random.default_rng(bits)
    x = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (2, 3, dim))
    rows = pack_rows(x, bits, align)
    assert rows.shape == (2, 3, packed_bytes(dim, bits, align)) and rows.dtype == np.uint8
    assert np.array_equal(unpack_rows(rows, dim, bits, align), x)
    assert np.array_equal(unpack_rows(rows, dim, bits, align, signed=False), x & ((1 << bits) - 1))
    if bits == 6:       # the pairs first, the nibbles on a multiple of `align`
        pairs, nibbles = dim * 2 // 8, -(-dim * 2 // 8 // align) * align
        low = (x & 3).reshape(2, 3, pairs, 4) << [0, 2, 4, 6]
        assert np.array_equal(rows[..., :pairs], low.sum(axis=-1))
        assert np.array_equal(rows[..., nibbles:], pack_rows(x >> 2, 4, 1)) and rows.shape[-1] == nibbles + dim // 2
        return
    # Plane of bits after plane of bits, the top ones first; in each, element 0 in the lowest bits.
    value, at, low = 0, 0, bits
    for width in BIT_PLANES[bits]:
        low -= width
        for e in x[1, 2]:
            value |= (int(e) >> low & ((1 << width) - 1)) << at
            at += width
    assert low == 0 and at == dim * bits
    assert rows[1, 2].tobytes() == value.to_bytes(row_bytes(dim, bits), "little")


def test_packing_by_hand():
    assert pack_rows(np.array([0x123, 0x456, 0x789, 0xABC]), 12, 1).tobytes().hex() == "124578ab" + "63c9"
    assert pack_rows(np.array([1, 2, 3, -1]), 4, 1).tobytes().hex() == "21f3"
    assert pack_rows(np.array([0b000001, 0b000110, 0b111111, 0b010000]), 6, 1).tobytes().hex() == "39" + "104f"
    assert row_beats(16, 12, TINY) == 3 and row_beats(4, 4, TINY) == 1 and row_beats(20, 8, TINY) == 3


def test_outputs_are_plain():
    x = np.array([[1, -2, 32767, -32768]])
    assert pack_outputs(x).tobytes().hex() == "0100feffff7f0080"
    padded = np.pad(pack_outputs(x), ((0, 0), (0, 8)))
    assert np.array_equal(unpack_outputs(padded, 4), x)


class Memory:
    """Channels of bytes in which nothing is written twice."""

    def __init__(self, channels, size=1 << 14):
        self.bytes = np.zeros((channels, size), dtype=np.uint8)

    def put(self, writes):
        for channel, at, data in writes:
            here = self.bytes[channel, at:at + len(data)]
            assert len(here) == len(data) and not here.any(), "written twice, or outside"
            self.bytes[channel, at:at + len(data)] = data

    def fetch(self, channel, at, nbytes):
        return self.bytes[channel, at:at + nbytes]


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize(("heads", "tokens"), [(1, 1), (3, 7), (5, 8), (2, 3)])
def test_rows_lie_where_the_contract_says(channels, heads, tokens):
    config = TINY.replace(channels=channels)
    plane = Arena(config, 1).plane(heads, tokens, 20)
    assert (plane.base, plane.token_stride, plane.head_stride) == (4096, 24, -(-tokens // channels) * 24)
    rows = np.random.default_rng(3).integers(1, 256, (heads, tokens, 20), dtype=np.uint8)
    memory = Memory(channels)
    memory.put(plane.images(rows))
    for h in range(heads):
        for t in range(tokens):
            at = 4096 + h * plane.head_stride + t // channels * 24
            assert np.array_equal(memory.fetch((t + h) % channels, at, 20), rows[h, t])
    assert np.count_nonzero(memory.bytes) == rows.size
    assert np.array_equal(plane.rows(memory.fetch, heads, tokens), rows)


@pytest.mark.parametrize("channels", [1, 4])
def test_parts_of_a_plane_make_up_the_whole(channels):
    plane = Arena(TINY.replace(channels=channels), 4096).plane(3, 7, 20)
    rows = np.random.default_rng(1).integers(1, 255, (3, 7, 20), dtype=np.uint8)
    parts, whole = Memory(channels), Memory(channels)
    for first, last in ((3, 7), (0, 1), (1, 3)):
        parts.put(plane.part(first, rows[:, first:last]))
    whole.put(plane.images(rows))
    assert np.array_equal(parts.bytes, whole.bytes)


def test_strides_may_be_longer_than_rows():
    plane = Plane(64, 7 * 24, 2 * 24, 20, channels=2)
    rows = np.random.default_rng(2).integers(1, 255, (3, 5, 20), dtype=np.uint8)
    memory = Memory(2)
    memory.put(plane.images(rows))
    assert np.array_equal(plane.rows(memory.fetch, 3, 5), rows)


def test_steps_are_each_the_only_query_of_a_job():
    plane = Arena(TINY).plane(6, 5, 20, steps=True)
    rows = np.random.default_rng(4).integers(1, 255, (6, 5, 20), dtype=np.uint8)
    memory = Memory(4)
    memory.put(plane.images(rows))
    assert np.array_equal(plane.rows(memory.fetch, 6, 5), rows)
    for step in range(5):
        own = plane.step(step)
        for head in range(6):
            at = int(own.address(head, 0))
            assert at == plane.base + head * 5 * 24 + step * 24
            assert np.array_equal(memory.fetch(int(own.channel(head, 0)), at, 20), rows[head, step])
            assert own.channel(head, 0) == head % 4
        assert np.array_equal(own.rows(memory.fetch, 6, 1), rows[:, step:step + 1])


def test_fill_reaches_every_row():
    plane = Arena(TINY).plane(3, 5, 16)
    memory = Memory(4)
    memory.put(plane.fill(3, 0xA5))
    assert (plane.rows(memory.fetch, 3, 5) == 0xA5).all()


def test_arena_aligns_and_refuses_what_does_not_fit():
    arena = Arena(TINY, base=1)
    first = arena.alloc(1)
    second = arena.plane(2, 9, 20)
    assert first == 4096 and second.base == 8192 and second.head_stride == 72
    assert arena.out_plane(2, 3, 4).nbytes == TINY.beat_bytes
    with pytest.raises(UserError, match="axi_addr_bits"):
        arena.alloc(1 << 20)


def test_words_have_their_channel_above():
    assert place_of_words(0x30010, TINY) == (0, 0x30010) and place_of_words(3 << 20 | 8, TINY) == (3, 8)


@pytest.mark.parametrize(("tokens", "heads"), [(1, 1), (64, 64), (65, 3), (130, 70)])
def test_survivors(tokens, heads):
    rng = np.random.default_rng(tokens)
    alive = rng.random(tokens) < 0.5, rng.random(heads) < 0.5
    words = pack_survivors(*alive)
    assert len(words) == survivor_words(tokens, heads) and words.dtype == np.uint64
    assert int(words[0]) == int(alive[0].sum()) | int(alive[1].sum()) << 32
    for of, first in zip(alive, (1, 1 + -(-tokens // 64)), strict=True):
        for i, bit in enumerate(of):
            assert int(words[first + i // 64]) >> (i % 64) & 1 == bit
    back = unpack_survivors(words, tokens, heads)
    assert all(np.array_equal(a, b) for a, b in zip(back, alive, strict=True))
