"""ScoreSlice: waits for queries and chunks, the earliest uses, and what its contracts refuse."""

import numpy as np
import pytest

from spatten_hw.matmul.score import QUERY_ISSUE, issue_latency
from spatten_hw.matmul.score_unit import ScoreUnit
from spatten_hw.sim.harness.block import Block, RuleError
from spatten_hw.stream.read_layouts import ReadKind, key_note, shared_note
from tests.seeds import numbers

from .score_work import Work, block_of
from .slice_rows import BUILDS, Chunks, operands


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


@pytest.mark.parametrize("name", BUILDS)
def test_busy_until_the_score(name):
    """A row of one chunk alone, of a K row or a command: in every cycle from its arrival to its score."""
    rng, block = numbers("score busy", name), block_of(name)
    c = block.component.config
    k, q = operands(rng, c, (2, c.chunk))
    work = Work(block, 1)
    work.take(0)
    work.query(0, q)
    work.fill(rng, np.array([k]), 0)
    work.run(rng)
    for streamed in (True, False):
        work = Work(block, 1)
        if streamed:
            work.key_row(k, 0, 1, 0, 0, {0: q})
        else:
            work.command(0, q, np.array([k]), 0)
        block.high("busy")
        work.run(rng)
        came, out = (block.taken(name).cycles[0] for name in ("k_chunks" if streamed else "cmd", "o"))
        assert block.high("busy") == out - came + 1


def test_busy_and_stall_of_all_slices():
    """A row that waits for its q in one slice, whichever it is, is work of the whole unit, which then waits."""
    rng, c = numbers("score unit"), BUILDS["three chunks"]
    block = Block(ScoreUnit, c)
    block.set(job={"chunks": 1})
    k, q = operands(rng, c, (2, c.chunk))
    for s in range(c.slices):
        block.set(slot_taken=1, slot=s)
        block.idle(1)
        block.set(slot_taken=0)
        block.idle(5)
        assert not block.get("busy") and not block.get("stall")
        row, late = Chunks(c, key_note(c)), Chunks(c, shared_note(c))
        row.row(k, slice=s, slot=s, members=1, row=0, lsb=0)
        late.row(q, kind=ReadKind.QUERY.value, half=0, slice=0, index=s)
        block.receive(f"o__{s}")
        block.send(f"k_chunks__{s}", row.packed)
        block.idle(12)
        assert block.get("busy") and block.get("stall") and not block.taken(f"o__{s}").fired
        for other in range(c.slices):
            block.send(f"shared__{other}", late.packed)
        block.run(60, **{f"o__{s}": 1})
        assert block.taken(f"o__{s}").columns()["score"].tolist() == [int(k @ q)]
        block.idle(5)
    assert not block.get("busy") and not block.get("stall")


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


def test_no_more_keys_than_rows():
    """One key too many is one row too many for the slice that has the turn, and for no other."""
    block = block_of("wide")
    c = block.component.config
    for number in range(c.slices):
        for turn in range(c.slices):
            block.reset()
            block.set(chunks=1, has_lsb=0, number=number)
            block.send("cmd", {"slot": [0], "keys": [c.max_tokens + 1], "half": [0], "refetched": [0], "turn": [turn]})
            if number != turn:
                block.idle(3)
                continue
            with pytest.raises(RuleError, match="no more rows than the longest"):
                block.idle(3)
    block.reset()
