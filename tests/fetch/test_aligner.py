"""Aligner on its own: rows of every length at every place of a beat, against the bytes themselves."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.fetch.aligner import Aligner, row_mode, row_tag
from spatten_hw.fetch.read_port import row_beat
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from tests.seeds import numbers

from .rows import TINY

BUILDS = {"4 bytes": TINY.replace(channels=1, axi_data_bits=32, interleave_bytes=16),
          "16 bytes": TINY.replace(channels=1, axi_data_bits=128, interleave_bytes=16)}


@cache
def block_of(name: str) -> Block:
    return Block(Aligner, BUILDS[name])


@dataclass
class Row:
    """`data`: its bytes; `offset` of the first in the first beat; which beats have an error."""

    offset: int
    data: bytes
    mode: int
    bad: list[bool]

    def words(self, size: int) -> list[bytes]:
        return [self.data[at:at + size] for at in range(0, len(self.data), size)]


def rows(rng: np.random.Generator, size: int) -> list[Row]:
    """Every offset with every length up to three beats, shuffled; one in four has beats with errors."""
    made = []
    for offset in range(size):
        for length in range(1, 3 * size + 2):
            beats = -(-(offset + length) // size)
            bad = rng.random(beats) < (0.5 if rng.random() < 0.25 else 0)
            made.append(Row(offset, rng.bytes(length), int(rng.integers(0, 1 << row_mode().size)), bad.tolist()))
    return [made[at] for at in rng.permutation(len(made))]


def send(block: Block, rng: np.random.Generator, work: list[Row], c: SpAttenConfig, stall: float) -> list[int]:
    """Offers all beats, noise round the rows' bytes; → number of each row's first beat."""
    size, beats, starts = c.beat_bytes, [], []
    for row in work:
        count = len(row.bad)
        image = rng.bytes(row.offset) + row.data
        image += rng.bytes(count * size - len(image))
        # The last beat begins a word of its own if the row has as many words as beats.
        user = row.mode | (len(row.words(size)) == count) << row_tag()["own"].offset
        starts.append(len(beats))
        beats += [(int.from_bytes(image[n * size:(n + 1) * size], "little"), row.offset, n == 0, n == count - 1,
                   row.bad[n], user) for n in range(count)]
    columns = dict(zip(("data", "offset", "first", "last", "error", "user"), zip(*beats, strict=True), strict=True))
    block.send("i", pack(row_beat(c, row_tag().size), {
        name: np.array(values, dtype=object if name == "data" else np.int64) for name, values in columns.items()}),
        stall=stall, seed=int(rng.integers(1, 1000)))
    return starts


def check(block: Block, work: list[Row], c: SpAttenConfig) -> None:
    got = block.taken("o").columns()
    mode = pack(row_mode(), got["mode"])[:, :2].astype(np.int64) @ [1, 256]
    at = 0
    for row in work:
        words = row.words(c.beat_bytes)
        for n, word in enumerate(words):
            have = int(got["data"][at]).to_bytes(c.beat_bytes, "little")
            assert have[:len(word)] == word and got["last"][at] == (n == len(words) - 1), row
            assert mode[at] == row.mode, row
            at += 1
        assert got["error"][at - 1] == any(row.bad), row
    assert at == len(got["last"])


@pytest.mark.parametrize("name", BUILDS)
def test_every_row_under_stalls(name):
    rng, block, c = numbers("aligner", name), block_of(name), BUILDS[name]
    for stall_in, stall_out in ((0.0, 0.6), (0.6, 0.0), (0.3, 0.3)):
        work = rows(rng, c.beat_bytes)
        block.receive("o", stall=stall_out, seed=int(rng.integers(1, 1000)))
        send(block, rng, work, c, stall_in)
        count = sum(len(row.words(c.beat_bytes)) for row in work)
        block.run(20 * count + 100, o=count)
        block.idle(3)
        check(block, work, c)
        assert block.get("idle") == 1


@pytest.mark.parametrize("name", BUILDS)
def test_one_beat_per_cycle_at_the_stated_latency(name):
    """A word leaves one cycle after the beat that completes it, and two after a last beat that it begins with."""
    rng, block, c = numbers("aligner rate", name), block_of(name), BUILDS[name]
    completed, begun = Aligner.LATENCY
    work = rows(rng, c.beat_bytes)
    block.receive("o")
    block.high("idle")
    starts = send(block, rng, work, c, 0)
    count = sum(len(row.words(c.beat_bytes)) for row in work)
    block.run(2 * count + 100, o=count)
    check(block, work, c)
    sent = block.taken("i")
    assert sent.bubbles == 0
    want = []
    for row, start in zip(work, starts, strict=True):
        beats = sent.cycles[start:start + len(row.bad)].tolist()
        want += [cycle + completed for cycle in beats[1:]]
        if len(row.words(c.beat_bytes)) == len(beats):
            want.append(beats[-1] + begun)
    assert block.taken("o").cycles.tolist() == want
    assert block.high("idle") == 1, "idle in the cycle of the first beat only"
