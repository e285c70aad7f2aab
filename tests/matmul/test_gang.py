"""The gather of gangs: entries of every slice, in the order of complete gangs, under stalls of single slices."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.matmul.gang import GangGather, gather_latency
from spatten_hw.sim.harness.block import Block
from tests.seeds import numbers

from .value_bench import send_kept, set_lists
from .value_jobs import CONFIGS, Job, some_vectors


@cache
def gather() -> Block:
    return Block(GangGather, CONFIGS["two"])


def entries(job: Job, s: int) -> dict[str, np.ndarray]:
    """What slice s is told."""
    columns: dict[str, list[int]] = {k: [] for k in ("item", "sum", "members", "refetched", "row", "index", "kv_head",
                                                      "half", "stream", "last")}
    for g in job.walked:
        for r in range(g.rows):
            members = sum(1 << i for i in range(g.members) if g.kept[i, r, s])
            if members or r == g.rows - 1:
                values = {"item": g.first, "sum": g.sum, "members": members, "row": r, "kv_head": g.kv_head,
                          "refetched": sum(1 << i for i in range(g.members) if g.refetched[i]), "half": g.half,
                          "index": job.lists[(s - g.kv_head) % job.c.slices, r], "stream": 1, "last": r == g.rows - 1}
                for name, value in values.items():
                    columns[name].append(int(value))
    return {name: np.array(values) for name, values in columns.items()}


def walk(block: Block, rng: np.random.Generator, sizes: list[int], rows: list[int], keep: float,
         stalls: tuple[float, float]) -> Job:
    """One run out of reset: no sums come back, so at most as many members as there are sums."""
    block.reset()
    job = some_vectors(rng, CONFIGS["two"], True, sizes, rows, 1, True, keep)
    job.after = [0] * len(job.after)
    set_lists(block, job)
    block.set(half_filled=3)
    wanted = [entries(job, s) for s in range(job.c.slices)]
    for s, stall in enumerate(stalls):
        block.receive(f"entries__{s}", stall=stall, seed=int(rng.integers(1, 1000)))
    block.receive("gangs")
    send_kept(block, job, 0, 1, wait=False)
    block.run(100 * sum(rows) + 500, **{f"entries__{s}": len(want["row"]) for s, want in enumerate(wanted)})
    block.idle(20)
    for s, want in enumerate(wanted):
        got = block.taken(f"entries__{s}").columns()
        for name, values in want.items():
            assert np.array_equal(got[name], values), (s, name)
    gangs = block.taken("gangs").columns()
    for name, values in {"item": [g.first for g in job.walked], "sum": [g.sum for g in job.walked],
                         "gang": [g.members for g in job.walked]}.items():
        assert np.array_equal(gangs[name], values), name
    return job


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.8, 0.0), (0.3, 0.6)])
def test_entries_under_stalls(stalls):
    rng, block = numbers("gang", stalls), gather()
    for sizes in ([8, 8], [3, 1, 8, 1, 3], [1] * 16):
        for keep in (0.1, 0.7):
            walk(block, rng, sizes, list(rng.integers(1, CONFIGS["two"].max_rows + 1, len(sizes))), keep, stalls)


def test_one_row_per_cycle():
    """Gangs of one are walked as fast as their rows come, without a gap, after the stated latency; gangs of eight, too,
    once they are complete."""
    rng, block, c = numbers("gang rate"), gather(), CONFIGS["two"]
    for rows in (1, 2, c.max_rows):
        job = walk(block, rng, [1] * 16, [rows] * 16, 1.0, (0.0, 0.0))
        kept, out = block.taken("kept"), block.taken("entries__0")
        assert out.fired == kept.fired == 16 * rows and kept.bubbles == out.bubbles == 0
        assert out.cycles[0] - kept.cycles[0] == gather_latency(c)
    job = walk(block, rng, [8, 8], [c.max_rows] * 2, 1.0, (0.0, 0.0))
    out, n = block.taken("entries__1"), len(job.gangs) * c.max_rows
    assert out.fired == n and np.array_equal(np.diff(out.cycles[:n // 2]), np.ones(n // 2 - 1))


def test_waits_for_sums():
    """A gang waits for as many sums as it has members, and goes on in the cycle after they are free."""
    rng, block = numbers("gang sums"), gather()
    c = CONFIGS["two"]
    block.reset()
    job = some_vectors(rng, c, True, [8, 7, 3], [2, 2, 2], 1, False, 1.0)
    job.order.sort(), set_lists(block, job), block.set(half_filled=3)
    block.receive("entries__0"), block.receive("gangs")
    send_kept(block, job, 0, 1, wait=False)
    block.idle(100)
    assert block.taken("gangs").fired == 2 and block.get("busy") == 1
    for gang, fired in ((1, 2), (7, 3)):
        block.set(freed={"valid": 1, "item": 0, "gang": gang})
        block.idle(1)
        block.set(freed={"valid": 0, "item": 0, "gang": 0})
        block.idle(20)
        assert block.taken("gangs").fired == fired
    assert block.taken("gangs").columns()["sum"].tolist() == [0, 8, 15]
    assert block.taken("entries__0").fired == 6
