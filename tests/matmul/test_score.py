"""ScoreSlice: gangs of generation and prompts from the SRAM, exactly numpy's scores in order; rates and latencies."""

from dataclasses import dataclass, field
from functools import cache
from itertools import product

import numpy as np
import pytest

from spatten_hw.matmul.key_sram import low_bits
from spatten_hw.matmul.score import (
    CHUNK_ISSUE,
    QUERY_ISSUE,
    ScoreSlice,
    issue_latency,
    score_latency,
    stream_latency,
)
from spatten_hw.sim.harness.block import Block, RuleError
from spatten_hw.stream.layouts import ReadKind, key_note, shared_note
from tests.seeds import numbers

from .slice_rows import BUILDS, Chunks, operands

CASES = [(name, chunks) for name, c in BUILDS.items() for chunks in range(1, c.max_chunks + 1)]


@cache
def block_of(name: str) -> Block:
    return Block(ScoreSlice, BUILDS[name])


@dataclass
class Work:
    """What goes into a slice, and the scores that come out, in order."""

    block: Block
    chunks: int
    number: int = 0
    has_lsb: int = 0
    taken: list[int] = field(default_factory=list)
    taken_after: list[int] = field(default_factory=list)
    cmds: list[dict[str, int]] = field(default_factory=list)
    cmds_after: list[int] = field(default_factory=list)
    expect: list[tuple[int, int, int, int]] = field(default_factory=list)

    def __post_init__(self):
        self.c = self.block.component.config
        self.dim = self.chunks * self.c.chunk
        self.rows = Chunks(self.c, key_note(self.c))
        self.shared = Chunks(self.c, shared_note(self.c))

    def take(self, slot: int, after: int = 0) -> None:
        """The slot gets a new q, after so many scores."""
        self.taken.append(slot)
        self.taken_after.append(after)

    def query(self, slot: int, q: np.ndarray) -> None:
        self.shared.row(q, len(self.taken), kind=ReadKind.QUERY.value, half=0, slice=0, index=slot)

    def fill(self, rng: np.random.Generator, keys: np.ndarray, half: int, lsb: bool = False) -> None:
        """Rows [tokens, D] of all slices in any order; those of others are none of this one's business."""
        kind = ReadKind.KEY_LSB if lsb else ReadKind.KEY
        for p in rng.permutation(len(keys)):
            self.shared.row(keys[p], len(self.taken), kind=kind.value, half=half, slice=p % self.c.slices,
                            index=p // self.c.slices)

    def command(self, slot: int, q: np.ndarray, keys: np.ndarray, half: int, refetched: int = 0) -> None:
        self.cmds.append({"slot": slot, "keys": len(keys), "half": half, "refetched": refetched})
        self.cmds_after.append(len(self.taken))
        mine = keys[self.number::self.c.slices]
        self.expect += [(s, slot, row, 0) for row, s in enumerate((mine @ q).tolist())]

    def key_row(self, k: np.ndarray, slot: int, members: int, row: int, lsb: int, queries: dict[int, np.ndarray]):
        self.rows.row(k, len(self.taken), slice=0, slot=slot, members=members, row=row, lsb=lsb)
        for i in range(self.c.max_group):
            if members >> i & 1:
                of = (slot + i) % self.c.slots
                self.expect.append((int(queries[of] @ k), of, row, lsb))

    def start(self, rng: np.random.Generator, stall: float) -> None:
        block = self.block
        block.set(chunks=self.chunks, has_lsb=self.has_lsb, number=self.number)
        seeds = [int(s) for s in rng.integers(1, 1000, 4)]
        block.receive("o")
        if self.taken:
            block.send("slot_taken", {"slot": np.array(self.taken)}, after=("o", self.taken_after), stall=stall,
                       seed=seeds[0])
        if len(self.shared):
            late = ("slot_taken", self.shared.after) if self.taken else None
            block.send("shared", self.shared.packed, after=late, stall=stall, seed=seeds[1])
        if len(self.rows):
            late = ("slot_taken", self.rows.after) if self.taken else None
            block.send("k_chunks", self.rows.packed, after=late, stall=stall, seed=seeds[2])
        if self.cmds:
            late = ("slot_taken", self.cmds_after) if self.taken else None
            columns = {key: np.array([cmd[key] for cmd in self.cmds]) for key in self.cmds[0]}
            block.send("cmd", columns, after=late, stall=stall, seed=seeds[3])

    def run(self, rng: np.random.Generator, stall: float = 0.0) -> None:
        self.start(rng, stall)
        moves = {"o": len(self.expect), "cmd": len(self.cmds), "shared": len(self.shared),
                 "slot_taken": len(self.taken)}
        self.block.run(100 + 20 * (len(self.rows) * self.c.max_group + self.chunks * len(self.expect)
                                   + len(self.shared) + len(self.taken)), **{k: n for k, n in moves.items() if n})
        self.check()

    def check(self) -> None:
        self.block.idle(issue_latency(self.c) + 4)
        got = self.block.taken("o").columns()
        assert list(zip(*(got[key].tolist() for key in ("score", "slot", "row", "replay")), strict=True)) == self.expect
        assert not self.block.get("busy") and not self.block.get("stall")


def gang(rng: np.random.Generator, work: Work, slot: int, members: int, rows: int, lsb: int,
         queries: dict[int, np.ndarray]) -> None:
    """K rows in any order of their numbers."""
    for row in rng.permutation(min(work.c.max_rows, 1 << work.c.row_bits))[:rows]:
        k = rng.integers(0, 16, work.dim) if lsb else operands(rng, work.c, work.dim)
        work.key_row(k, slot, members, int(row), lsb, queries)


@pytest.mark.parametrize("name,chunks", CASES)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_generation(name, chunks, stall):
    """Gangs of every size over the ring of slots, q late, replays of some members; slots taken again when done."""
    rng, block = numbers("score generation", name, chunks, stall), block_of(name)
    c = block.component.config
    work = Work(block, chunks)
    queries: dict[int, np.ndarray] = {}
    done = [0] * c.slots  # scores after which a slot is free
    slot = int(rng.integers(0, c.slots))
    for _ in range(14):
        size = int(rng.integers(1, c.max_group + 1))
        slots = [(slot + i) % c.slots for i in range(size)]
        for s in slots:
            work.take(s, max(done))
        for s in slots:
            queries[s] = operands(rng, c, work.dim)
            work.query(s, queries[s])
        gang(rng, work, slot, (1 << size) - 1, int(rng.integers(1, 7)), 0, queries)
        if low_bits(c) and rng.random() < 0.5:
            gang(rng, work, slot, int(rng.integers(1, 1 << size)), int(rng.integers(1, 4)), 1, queries)
        for s in slots:
            done[s] = len(work.expect)
        slot = (slot + size) % c.slots
    work.run(rng, stall)


@pytest.mark.parametrize("name,chunks", CASES)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_prompt(name, chunks, stall):
    """Heads in both halves, the next one filled while this one is scored; q late; LSBs filled, used and ignored."""
    rng, block = numbers("score prompt", name, chunks, stall), block_of(name)
    c = block.component.config
    number = int(rng.integers(0, c.slices))
    has_lsb = int(low_bits(c) > 0 and (stall > 0) == (chunks % 2 > 0))
    room = min(c.max_tokens, c.sram_words // chunks * c.slices)

    def new_keys() -> np.ndarray:
        count = int(rng.choice([room, rng.integers(number + 1, room + 1)]))
        keys = operands(rng, c, (count, chunks * c.chunk))
        return keys >> 4 << 4 if has_lsb else keys

    def commands(work: Work, half: int, keys: np.ndarray, count: int, refetched: int = 0) -> None:
        for n in range(count):
            slot = n % c.slots
            work.take(slot, len(work.expect) if n >= c.slots else 0)
            q = operands(rng, c, work.dim)
            work.query(slot, q)
            work.command(slot, q, keys[:rng.integers(number + 1, len(keys) + 1)], half, refetched)

    def fresh() -> Work:
        return Work(block, chunks, number, has_lsb)

    keys = new_keys()
    work = fresh()
    work.fill(rng, keys, 0)
    work.run(rng, stall)
    for head in range(4):
        half = head % 2
        work, following = fresh(), new_keys()
        commands(work, half, keys, c.slots + 2)
        work.fill(rng, following, 1 - half)
        work.run(rng, stall)
        if has_lsb:
            lsbs = rng.integers(0, 16, keys.shape)
            work = fresh()
            work.fill(rng, lsbs, half, lsb=True)
            work.run(rng, stall)
            work = fresh()
            commands(work, half, keys + lsbs, c.slots, refetched=1)
            work.run(rng, stall)
            work = fresh()
            commands(work, half, keys, c.slots)
            work.run(rng, stall)
        keys = following


@pytest.mark.parametrize("name,chunks", CASES)
def test_prompt_rate(name, chunks):
    """Commands back to back: a score per `chunks` cycles, the first one after `score_latency`; those without a key of
    this slice cost nothing."""
    rng, block = numbers("score prompt rate", name, chunks), block_of(name)
    c = block.component.config
    number = c.slices - 1
    room = min(c.max_tokens, c.sram_words // chunks * c.slices)
    keys = [operands(rng, c, (room, chunks * c.chunk)) for _ in range(2)]
    queries = operands(rng, c, (c.slots, chunks * c.chunk))
    work = Work(block, chunks, number)
    for slot, q in enumerate(queries):
        work.take(slot)
        work.query(slot, q)
    work.fill(rng, keys[0], 0)
    work.fill(rng, keys[1], 1)
    work.run(rng)
    work = Work(block, chunks, number)
    for n in range(30):
        slot, half = int(rng.integers(0, c.slots)), n % 2
        rows = int(rng.integers(1, 4))
        count = min(room, rows * c.slices + int(rng.integers(0, c.slices)))
        work.command(slot, queries[slot], keys[half][:count], half)
        if number and rows > 1:
            work.command(slot, queries[slot], keys[half][:rng.integers(1, number + 1)], half)
    work.run(rng)
    out, cmd = block.taken("o").cycles, block.taken("cmd").cycles
    assert out[0] - cmd[0] == score_latency(c, chunks)
    assert (np.diff(out) == chunks).all()


@pytest.mark.parametrize("name,chunks", CASES)
def test_stream_rate(name, chunks):
    """One product of chunks per cycle whatever the members, across rows and gangs; each score when it is stated."""
    rng, block = numbers("score stream rate", name, chunks), block_of(name)
    c = block.component.config
    queries = dict(enumerate(operands(rng, c, (c.slots, chunks * c.chunk))))
    work = Work(block, chunks)
    for slot, q in queries.items():
        work.take(slot)
        work.query(slot, q)
    work.run(rng)
    work = Work(block, chunks)
    issues, due, taken = 0, [], []
    for _ in range(24):
        members = int(rng.choice([1, (1 << c.max_group) - 1, rng.integers(1, 1 << c.max_group)]))
        rows, count = int(rng.integers(1, 4)), members.bit_count()
        gang(rng, work, int(rng.integers(0, c.slots)), members, rows, 0, queries)
        for _, j in product(range(rows), range(chunks)):
            taken.append(issues)
            if j == chunks - 1:
                due += range(issues, issues + count)
            issues += count
    work.run(rng)
    cycles = block.taken("k_chunks").cycles
    assert (cycles - cycles[0]).tolist() == taken
    assert (block.taken("o").cycles - cycles[0]).tolist() == [stream_latency(c) + n for n in due]
    assert stream_latency(c) == CHUNK_ISSUE + issue_latency(c)


@pytest.mark.parametrize("name", BUILDS)
def test_waits_for_query(name):
    """No q: `busy` and `stall`, nothing comes; with its last chunk everything goes on in the stated cycle."""
    rng, block = numbers("score waits", name), block_of(name)
    c = block.component.config
    chunks = c.max_chunks
    keys, q = operands(rng, c, (c.slices, chunks * c.chunk)), operands(rng, c, chunks * c.chunk)
    for streamed in (True, False):
        slot = c.slots - 1
        before = Work(block, chunks)
        before.take(slot)
        before.fill(rng, keys, 0)
        before.run(rng)
        work = Work(block, chunks)
        if streamed:
            work.key_row(keys[0], slot, 1, 0, 0, {slot: q})
        else:
            work.command(slot, q, keys, 0)
        work.start(rng, 0.0)
        block.idle(12)
        assert block.get("busy") and block.get("stall") and not block.taken("o").fired
        late = Chunks(c, shared_note(c))
        late.row(q, kind=ReadKind.QUERY.value, half=0, slice=0, index=slot)
        block.send("shared", late.packed)
        block.run(60, o=1)
        assert block.taken("o").cycles[0] == (
            block.taken("shared").cycles[-1] + QUERY_ISSUE + chunks - 1 + issue_latency(c))
        work.check()


def test_waits_for_chunk():
    """A row that has begun and whose next chunk is missing: `busy` and `stall`."""
    rng, block = numbers("score waits for chunk"), block_of("three chunks")
    c = block.component.config
    q, k = operands(rng, c, (2, c.max_dim))
    work = Work(block, c.max_chunks)
    work.take(0)
    work.query(0, q)
    work.run(rng)
    work = Work(block, c.max_chunks)
    work.key_row(k, 0, 1, 5, 0, {0: q})
    block.receive("o")
    block.send("k_chunks", work.rows.packed, at=[0, 0, block.cycle + 30])
    block.idle(25)
    assert block.get("busy") and block.get("stall") and not block.taken("o").fired
    block.run(40, o=1)
    work.check()


def test_command_with_the_last_fill():
    """A command taken in the cycle of the last chunk of its half finds it there; so does a slot taken with its q."""
    rng, block = numbers("score fill"), block_of("wide")
    c = block.component.config
    keys, q = operands(rng, c, (c.slices, c.chunk)), operands(rng, c, c.chunk)
    work = Work(block, 1)
    work.take(3)
    work.query(3, q)
    work.fill(rng, keys[:1], 1)
    work.command(3, q, keys[:1], 1)
    start = block.cycle + 2
    block.set(chunks=1, has_lsb=0, number=0)
    block.receive("o")
    block.send("slot_taken", {"slot": np.array([3])}, at=[start])
    block.send("shared", work.shared.packed, at=[start, start + 1])
    block.send("cmd", {key: np.array([value]) for key, value in work.cmds[0].items()}, at=[start + 1])
    block.run(40, o=1)
    assert block.taken("cmd").cycles[0] == block.taken("shared").cycles[-1] == start + 1
    assert block.taken("slot_taken").cycles[0] == block.taken("shared").cycles[0]
    work.check()


def test_contracts():
    """What a neighbour must not do stops the simulation: a q row for a slot that has one, two kinds of work at once."""
    rng, block = numbers("score contracts"), block_of("three chunks")
    c = block.component.config
    q = operands(rng, c, c.chunk)
    block.reset()
    work = Work(block, 1)
    work.query(2, q)
    work.query(2, q)
    work.start(rng, 0.0)
    with pytest.raises(RuleError, match="a query that is there is not overwritten"):
        block.idle(10)
    block.reset()
    work = Work(block, 1)
    work.key_row(q, 0, 1, 0, 0, {0: q})
    work.command(1, q, np.array([q] * c.slices), 0)
    work.start(rng, 0.0)
    with pytest.raises(RuleError, match="do not meet"):
        block.idle(10)
    block.reset()
