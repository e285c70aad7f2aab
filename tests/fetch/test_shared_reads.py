"""SharedReads: queries, fills and words to requests per channel: addresses, notes, order, rates, priority, counts."""

import numpy as np
import pytest

from spatten_hw.fetch.fill_walk import WRITTEN_STAGES
from spatten_hw.fetch.row_reads import QUEUE_DEPTH, QUEUE_MARGIN
from spatten_hw.fetch.shared_reads import SharedReads
from spatten_hw.presets import SMALL
from spatten_hw.sim.harness.block import Block
from spatten_hw.stream.read_layouts import ReadKind
from tests.seeds import numbers

from .answers import Answered, Asked, requests

ONE = SMALL.replace(max_tokens=64, sram_tokens=64, max_heads=4)
TWO = SMALL.replace(multipliers=32, chunk=8, channels=2, max_tokens=64, sram_tokens=64, topk_lanes=4, max_heads=8,
                    axi_data_bits=256)
FOUR = SMALL.replace(multipliers=16, chunk=4, channels=4, max_dim=12, max_tokens=64, sram_tokens=64, topk_lanes=4,
                     axi_addr_bits=16, axi_data_bits=32, max_group=1)
ALL = pytest.mark.parametrize("c", [ONE, TWO, FOUR], ids=["C1", "S4C2", "C4"])


def blocks(c, rng):
    """A block with a list of all tokens, then one with a pruned list."""
    for survivors in (np.arange(c.max_tokens), np.sort(rng.choice(c.max_tokens, 23, replace=False))):
        block = Block(Answered, c)
        yield block, Asked(c, rng, block, survivors)


def stalls(block, c, rng, most):
    for n in range(c.channels):
        block.receive(f"reads__{n}", stall=most * rng.random(), seed=n + 1)
    for n in range(2):
        block.receive(f"words__{n}", stall=most * rng.random(), seed=n + 40)


def queries(c, rng, count):
    return {"head": rng.integers(0, c.max_heads, count), "token": rng.integers(0, c.max_tokens, count),
            "slot": rng.integers(0, c.slots, count)}


def listed(columns):
    return list(zip(*(np.asarray(v).tolist() for v in columns.values()), strict=True))


def fills(c, rng, count, most):
    return {"kv_head": rng.integers(0, c.max_heads, count), "rows": rng.integers(1, most + 1, count),
            "half": rng.integers(0, 2, count), "value": rng.integers(0, 2, count), "lsb": rng.integers(0, 2, count)}


def split(c, rows):
    return [[request for channel, request in rows if channel == n] for n in range(c.channels)]


def commands(c, rng, count, words):
    """Reads of words: first addresses anywhere in a beat and before page ends, lengths from 1."""
    channel = rng.integers(0, c.channels, count)
    local = rng.integers(0, ((1 << c.axi_addr_bits) - 8 * words - 64) // 8, count) * 8
    return {"addr": (channel << c.axi_addr_bits) + local, "words": rng.integers(1, words + 1, count)}


def words_of(c, wanted):
    out = []
    for addr, count in listed(wanted):
        channel, local = addr >> c.axi_addr_bits, addr % (1 << c.axi_addr_bits)
        for n in range(count):
            at = local + 8 * n
            beats = range(at // c.beat_bytes, (at + 7) // c.beat_bytes + 1)
            out.append((at + (channel << 48), int(n == count - 1), int(any(b % 8 == 3 for b in beats))))
    return out


def words_taken(block, client):
    got = block.taken(f"words__{client}").columns()
    return list(zip(map(int, got["data"]), got["last"].tolist(), got["error"].tolist(), strict=True))


@ALL
def test_all_at_once(c):
    """Queries, fills and words of both clients together under stalls: each class is complete and in order."""
    rng = numbers("shared reads", c.slices, c.channels)
    for stall in (0.0, 0.9):
        for block, asked in blocks(c, rng):
            q, f = queries(c, rng, 30), fills(c, rng, 7, len(asked.survivors))
            w = [commands(c, rng, 5, 21) for _ in range(2)]
            stalls(block, c, rng, stall)
            for n in range(2):
                block.send(f"cmd__{n}", w[n], stall=stall, seed=n + 3)
            block.send("q_cmd", q, stall=stall, seed=5)
            block.send("fill", f, stall=stall, seed=6)
            words = [words_of(c, x) for x in w]
            block.run(20000, q_cmd=30, filled=7, words__0=len(words[0]), words__1=len(words[1]))
            block.idle(40)
            assert block.get("idle") == 1 and block.get("waits") == dict.fromkeys(("q", "k", "v", "desc", "state"), 0)
            got = requests(block, c)
            of_q = split(c, [asked.query(*x) for x in listed(q)])
            of_f = split(c, [row for x in listed(f) for row in asked.fill(*x)])
            for n in range(c.channels):
                assert [r for r in got[n] if r[2] == ReadKind.QUERY.value] == of_q[n]
                assert [r for r in got[n] if r[2] not in (ReadKind.QUERY.value, ReadKind.WORDS.value)] == of_f[n]
                assert all(0 < r[1] <= c.word_beats for r in got[n] if r[2] == ReadKind.WORDS.value)
            assert [words_taken(block, n) for n in range(2)] == words
            assert block.high("word_error") == sum(w[2] for w in words[0])
            done = block.taken("filled").columns()
            assert sorted(zip(done["value"].tolist(), done["half"].tolist(), done["lsb"].tolist(), strict=True)) == \
                sorted((v, h, low) for _, _, h, v, low in listed(f))


@ALL
def test_rates(c):
    """One request per cycle: queries at their latency, fills back to back; the report after a fill's last row."""
    rng = numbers("shared rates", c.slices, c.channels)
    block, _ = next(blocks(c, rng))
    block.idle(8)
    q = queries(c, rng, c.slots)
    block.send("q_cmd", q)
    block.run(100, q_cmd=c.slots)
    block.idle(30)
    t = block.taken("q_cmd").cycles
    assert (np.diff(t) == 1).all()
    out = np.sort(np.concatenate([block.taken(f"reads__{n}").cycles for n in range(c.channels)]))
    assert (out == t + SharedReads.query_latency).all()

    for n in range(c.channels):
        block.receive(f"reads__{n}")
    rows = c.max_tokens - 3
    f = {"kv_head": [1, 2], "rows": [rows, rows], "half": [0, 1], "value": [0, 1], "lsb": [0, 0]}
    block.receive("filled")
    block.send("fill", f)
    block.run(4 * rows, filled=2)
    out = np.sort(np.concatenate([block.taken(f"reads__{n}").cycles for n in range(c.channels)]))
    assert len(out) == 2 * rows and (np.diff(out) == 1).all()
    # The answer comes a cycle after a request.
    assert block.taken("filled").cycles[-1] == out[-1] + 1 + WRITTEN_STAGES


def test_priority():
    """Words, then queries, then fills: what comes first when all wait."""
    c = TWO
    rng = numbers("shared priority")
    block, _ = next(blocks(c, rng))
    rows = c.max_tokens
    block.send("fill", {"kv_head": [0], "rows": [rows], "half": [0], "value": [0], "lsb": [0]})
    block.idle(20)
    block.send("q_cmd", queries(c, rng, 3))
    block.send("cmd__1", {"addr": [0], "words": [1]})
    block.run(200, words__1=1, filled=1)
    # Between the queries there is at most the word; behind them come the other rows of the fill.
    assert block.taken("q_cmd").cycles[-1] - block.taken("q_cmd").cycles[0] <= 3
    kinds = [(t, k) for n in range(c.channels) for t, k in
             zip(block.taken(f"reads__{n}").cycles.tolist(), (r[2] for r in requests(block, c)[n]), strict=True)]
    others = sorted(t for t, k in kinds if k != ReadKind.KEY.value)
    assert len(others) == 4 and others[-1] - others[0] <= 4
    assert sum(t > others[-1] for t, k in kinds if k == ReadKind.KEY.value) >= rows - 36


def test_channel_blocked():
    """One channel that takes nothing stops the others only when its queue is full; nothing is lost."""
    c = TWO
    rng = numbers("shared blocked")
    block, asked = next(blocks(c, rng))
    block.receive("reads__1", stall=0.998, seed=2)
    f = {"kv_head": [0], "rows": [c.max_tokens], "half": [0], "value": [1], "lsb": [1]}
    block.send("fill", f)
    block.idle(50)
    stuck = block.taken("reads__1").fired
    ahead = block.taken("reads__0").fired - stuck
    assert QUEUE_DEPTH <= ahead <= QUEUE_DEPTH + QUEUE_MARGIN
    block.run(60000, filled=1)
    assert requests(block, c) == split(c, [row for x in listed(f) for row in asked.fill(*x)])


def test_half_still_filling():
    """A second fill of the same half waits for the first; one of the other half does not."""
    c = ONE
    rng = numbers("shared half")
    block, _ = next(blocks(c, rng))
    block.receive("reads__0", stall=0.9, seed=4)
    block.send("fill", {"kv_head": [0, 0, 0], "rows": [9, 9, 9], "half": [0, 1, 1], "value": [0, 0, 0],
                        "lsb": [0, 0, 1]})
    block.run(2000, filled=3)
    begun, done = block.taken("fill").cycles, block.taken("filled").cycles
    assert begun[1] < done[0] and begun[2] > done[1]


@ALL
@pytest.mark.parametrize("name", ["q_cmd", "fill", "cmd__0", "cmd__1"])
def test_not_idle_while_anything_is_outstanding(c, name):
    """One command alone, whose first request waits for a while."""
    rng = numbers("shared idle", c.slices, c.channels, name)
    block, asked = next(blocks(c, rng))
    block.idle(8)
    assert block.get("idle") == 1
    for n in range(c.channels):
        block.receive(f"reads__{n}", stall=0.98, seed=n + 1)
    block.send(name, queries(c, rng, 1) if name == "q_cmd" else fills(c, rng, 1, len(asked.survivors))
               if name == "fill" else commands(c, rng, 1, 21))
    block.idle(2)
    for _ in range(5000):
        if any(block.taken(f"reads__{n}").fired for n in range(c.channels)):
            break
        assert block.get("idle") == 0
        block.idle(1)
    for n in range(c.channels):
        block.receive(f"reads__{n}")
    block.idle(40 + c.max_tokens)
    assert block.get("idle") == 1
