"""BurstSplitter on its own: every row at every place of its granule, against bursts counted byte by byte."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.bus.read_crossbar import response_banks
from spatten_hw.config import INTERLEAVE_DIGITS, SpAttenConfig
from spatten_hw.fetch.splitter import BurstSplitter, row_request
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from tests.seeds import numbers

from .rows import TINY

USER = 3
#: Granules of four beats and of one; rows longer than several granules, and rows shorter than one.
BUILDS = {
    "four beats": (TINY.replace(channels=4, axi_data_bits=64, interleave_bytes=32), 8),
    "one beat": (TINY.replace(channels=2, axi_data_bits=64, interleave_bytes=8), 6),
    "short rows": (TINY.replace(channels=1, axi_data_bits=64, interleave_bytes=64), 4),
}


@cache
def block_of(name: str) -> Block:
    config, bytes_bits = BUILDS[name]
    return Block(BurstSplitter, config, bytes_bits, USER)


def bank_of(c: SpAttenConfig, addr: int) -> int:
    """The bank of an address: exclusive or of the granule's digits to base C, modulo the banks."""
    granule, channel = addr // c.interleave_bytes, 0
    for _ in range(INTERLEAVE_DIGITS):
        channel ^= granule % c.channels
        granule //= c.channels
    return channel % response_banks(c)


def bursts_of(c: SpAttenConfig, addr: int, count: int, user: int) -> list[dict[str, int]]:
    """Bursts of a row, from the beats that its bytes lie in, in order."""
    beats: list[int] = []
    for byte in range(addr, addr + count):
        beat = byte // c.beat_bytes * c.beat_bytes
        if not beats or beats[-1] != beat:
            beats.append(beat)
    granules = sorted({beat // c.interleave_bytes for beat in beats})
    bursts = []
    for granule in granules:
        inside = [beat for beat in beats if beat // c.interleave_bytes == granule]
        bursts.append({"addr": inside[0], "beats": len(inside), "offset": addr % c.beat_bytes, "user": user,
                       "bank": bank_of(c, inside[0]), "first": int(granule == granules[0]),
                       "last": int(granule == granules[-1])})
    return bursts


def requests(rng: np.random.Generator, c: SpAttenConfig, bytes_bits: int) -> np.ndarray:
    """(address, bytes, user): every first byte of a granule with short and long rows, both ends of the address space,
    random ones; shuffled."""
    most, end = (1 << bytes_bits) - 1, 1 << c.addr_bits
    rows = []
    for at in range(c.interleave_bytes):
        whole = c.interleave_bytes - at
        for count in {1, 2, c.beat_bytes, whole - 1, whole, whole + 1, most - 1, most, int(rng.integers(1, most + 1))}:
            if 1 <= count <= most:
                rows.append((int(rng.integers(0, end // c.interleave_bytes - 64)) * c.interleave_bytes + at, count))
    rows += [(0, 1), (0, most), (end - 1, 1), (end - most, most), (end - c.interleave_bytes, 1)]
    rows += [(int(rng.integers(0, end - most)), int(rng.integers(1, most + 1))) for _ in range(200)]
    order = rng.permutation(len(rows))
    return np.array([(*rows[at], int(rng.integers(0, 1 << USER))) for at in order])


@pytest.mark.parametrize("name", BUILDS)
def test_bursts_of_rows(name):
    """Under stalls the right ones in order; without, one per cycle, no gap, two cycles after the row."""
    rng, block, (c, bytes_bits) = numbers("splitter", name), block_of(name), BUILDS[name]
    for stall_in, stall_out in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.6), (0.3, 0.3)):
        rows = requests(rng, c, bytes_bits)
        want = [burst for row in rows.tolist() for burst in bursts_of(c, *row)]
        block.receive("o", stall=stall_out, seed=int(rng.integers(1, 1000)))
        block.high("idle")
        addr, count, user = rows.T
        block.send("i", pack(row_request(c, bytes_bits, USER), {"addr": addr, "bytes": count, "user": user}),
                   stall=stall_in, seed=int(rng.integers(1, 1000)))
        took = block.run(20 * len(want) + 100, o=len(want))
        idle = block.high("idle")
        got = block.taken("o").columns()
        for field in ("addr", "beats", "offset", "user", "bank", "first", "last"):
            values = got["addr"] if field == "addr" else got["note"].get(field, np.zeros(len(want)))
            assert values.tolist() == [burst[field] for burst in want], field
        sent, out = block.taken("i"), block.taken("o")
        if stall_in == stall_out == 0:
            assert out.bubbles == 0 and out.cycles[0] - sent.cycles[0] == BurstSplitter.LATENCY
            # Idle in the cycle in which the first row comes, never again before the last burst has gone.
            assert idle == 1 and took == len(want) + BurstSplitter.LATENCY
        firsts = out.cycles[out.columns()["note"]["first"] == 1]
        assert (firsts - sent.cycles >= BurstSplitter.LATENCY).all()
        block.idle(3)
        assert block.get("idle") == 1 and block.taken("o").fired == len(want)
