"""BurstBuilder on its own: which beats become one burst, whose turn it is, when a burst is known."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from spatten_hw.stream.layouts import out_beat
from spatten_hw.write.bursts import BurstBuilder, burst_beats
from tests.seeds import numbers

from .test_writer import TINY

#: Narrow and wide beats, without and with a channel number.
BUILDS = {"32": TINY.replace(channels=1, axi_data_bits=32), "512": TINY.replace(axi_data_bits=512, pool_beats=16)}
ROWS, STATE = 0, 1
#: Fields that may not fit an integer of numpy.
WIDE = ("data", "strobe")
#: Skid buffer, the register that holds a beat, FIFO.
LATENCY = 3


@cache
def block_of(name: str) -> Block:
    return Block(BurstBuilder, BUILDS[name])


@dataclass(frozen=True)
class Beat:
    data: int
    strobe: int
    channel: int
    addr: int
    kind: int
    last: bool


def section(rng: np.random.Generator, c: SpAttenConfig, kind: int, beats: int) -> list[Beat]:
    """Consecutive beats from anywhere, also over the end of the address space; now and then the same word again, or
    somewhere else."""
    size, words = c.beat_bytes, 1 << c.axi_addr_bits
    channel = int(rng.integers(c.channels))
    addr = int(rng.integers(0, words // size)) * size
    if rng.random() < 0.1:
        addr = words - size * int(rng.integers(1, 4))
    made = []
    for n in range(beats):
        made.append(Beat(int.from_bytes(rng.bytes(size), "little"), strobes(rng, size), channel, addr, kind,
                         n == beats - 1))
        turn = rng.random()
        addr = (addr + (0 if turn < 0.1 else size if turn < 0.9 else size * int(rng.integers(0, 50)))) % words
    return made


def strobes(rng: np.random.Generator, size: int) -> int:
    return int.from_bytes(rng.bytes(size // 4), "little") & (1 << size) - 1


def fields(c: SpAttenConfig) -> list[str]:
    """Of a beat, but for those that have no bits in this build."""
    return [f for f in ("data", "strobe", "addr", "channel", "kind", "last") if f != "channel" or c.channels > 1]


def bursts_of(c: SpAttenConfig, row: list[Beat]) -> list[list[Beat]]:
    """A row's beats, cut where the next one does not follow at the next address in the same block."""
    block = burst_beats(c) * c.beat_bytes
    runs: list[list[Beat]] = []
    for beat in row:
        before = runs[-1][-1].addr if runs else None
        if before is not None and beat.addr == before + c.beat_bytes and beat.addr // block == before // block:
            runs[-1].append(beat)
        else:
            runs.append([beat])
    return runs


def send(block: Block, rng: np.random.Generator, name: str, rows: list[list[Beat]], stall: float) -> None:
    beats = [beat for row in rows for beat in row]
    block.send(name, pack(out_beat(block.component.config), {
        field: np.array([getattr(b, field) for b in beats], dtype=object if field in WIDE else np.int64)
        for field in fields(block.component.config)}, len(beats)),
        stall=stall, seed=int(rng.integers(1, 1000)))


def merged(block: Block, work: dict[str, list[list[Beat]]]) -> list[list[Beat]]:
    """The rows in the order in which they went in; asserts that none was cut by the other input's."""
    beats = [(cycle, name) for name, rows in work.items() if rows for cycle in block.taken(name).cycles.tolist()]
    order = [name for _, name in sorted(beats)]
    assert len({cycle for cycle, _ in beats}) == len(beats), "two beats in a cycle"
    left = {name: iter(rows) for name, rows in work.items()}
    out, at = [], 0
    while at < len(order):
        row = next(left[order[at]])
        assert set(order[at:at + len(row)]) == {order[at]}
        out.append(row)
        at += len(row)
    return out


def check(block: Block, rows: list[list[Beat]]) -> list[list[Beat]]:
    """What left is the rows' bursts in order; → those bursts."""
    c = block.component.config
    bursts = [burst for row in rows for burst in bursts_of(c, row)]
    got = block.taken("bursts").columns()
    assert got["addr"].tolist() == [burst[0].addr for burst in bursts]
    assert got["len"].tolist() == [len(burst) - 1 for burst in bursts]
    if c.channels > 1:
        assert got["channel"].tolist() == [burst[0].channel for burst in bursts]
    assert got["kind"].tolist() == [burst[0].kind for burst in bursts]
    beats = block.taken("beats").columns()
    assert list(map(int, beats["data"])) == [beat.data for burst in bursts for beat in burst]
    assert list(map(int, beats["strobe"])) == [beat.strobe for burst in bursts for beat in burst]
    assert beats["last"].tolist() == [int(n == len(burst) - 1) for burst in bursts for n in range(len(burst))]
    return bursts


def lengths(rng: np.random.Generator, c: SpAttenConfig, count: int) -> list[int]:
    return [int(n) for n in rng.choice([1, 2, burst_beats(c), int(rng.integers(1, 3 * burst_beats(c) + 2))], count)]


@pytest.mark.parametrize("name", BUILDS)
def test_rows_and_state_under_stalls(name):
    rng, block, c = numbers("bursts", name), block_of(name), BUILDS[name]
    for stall_in, stall_beats, stall_bursts in ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.7, 0.0), (0.0, 0.0, 0.9),
                                                (0.3, 0.3, 0.3)):
        work = {port: [section(rng, c, kind, n) for n in lengths(rng, c, 60)]
                for kind, port in ((ROWS, "rows"), (STATE, "state"))}
        total = sum(len(row) for rows in work.values() for row in rows)
        block.receive("beats", stall=stall_beats, seed=int(rng.integers(1, 1000)))
        block.receive("bursts", stall=stall_bursts, seed=int(rng.integers(1, 1000)))
        for port, rows in work.items():
            send(block, rng, port, rows, stall_in)
        bursts = sum(len(bursts_of(c, row)) for rows in work.values() for row in rows)
        block.run(40 * total + 200, beats=total, bursts=bursts)
        rows = merged(block, work)
        check(block, rows)
        block.idle(5)
        assert block.get("idle") == 1
        if stall_in == 0:
            # Both offer all the time: they take turns, row by row.
            assert [row[0].kind for row in rows] == [STATE, ROWS] * 60 or [row[0].kind for row in rows] == [
                ROWS, STATE] * 60


@pytest.mark.parametrize("name", BUILDS)
def test_one_beat_per_cycle_and_when_a_burst_is_known(name):
    """Rows of consecutive beats go in one per cycle; beats leave after `LATENCY` cycles, and so does a burst's address
    behind its last beat."""
    rng, block, c = numbers("bursts rate", name), block_of(name), BUILDS[name]
    rows = []
    for n in lengths(rng, c, 120):
        addr = int(rng.integers(0, (1 << c.axi_addr_bits) // c.beat_bytes - 64)) * c.beat_bytes
        rows.append([Beat(int(rng.integers(0, 1 << 30)), 1, 0, addr + i * c.beat_bytes, ROWS, i == n - 1)
                     for i in range(n)])
    block.receive("beats")
    block.receive("bursts")
    send(block, rng, "rows", rows, 0)
    send(block, rng, "state", [], 0)
    total = sum(map(len, rows))
    block.run(2 * total + 100, beats=total)
    block.idle(5)
    bursts = check(block, merged(block, {"rows": rows, "state": []}))
    sent = block.taken("rows")
    assert sent.bubbles == 0
    ends = np.cumsum([len(burst) for burst in bursts]) - 1
    assert (block.taken("beats").cycles - sent.cycles).tolist() == [LATENCY] * total
    assert (block.taken("bursts").cycles - sent.cycles[ends]).tolist() == [LATENCY] * len(bursts)
