"""ScoreSlice: gangs of generation and prompts from the SRAM, exactly numpy's scores in order; rates and latencies."""

from itertools import product

import numpy as np
import pytest

from spatten_hw.matmul.key_sram import low_bits
from spatten_hw.matmul.score import CHUNK_ISSUE, issue_latency, score_latency, stream_latency
from tests.seeds import numbers

from .score_work import Work, block_of, gang
from .slice_rows import BUILDS, operands

CASES = [(name, chunks) for name, c in BUILDS.items() for chunks in range(1, c.max_chunks + 1)]


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
