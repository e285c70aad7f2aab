"""KeyWalk: for every command and surviving token one request, of the right slice, address and note, in order of rows;
one row per cycle; slices run ahead of one another by the depth of their queues."""

import numpy as np
import pytest

from spatten_hw.fetch.key_walk import QUEUE_MARGIN, KeyWalk
from spatten_hw.presets import SMALL
from spatten_hw.sim.harness.block import Block
from tests.seeds import numbers

#: S = C = 1; S = 4, C = 2 (two slices per channel); S = C = 4 with heads above the slices and narrow addresses.
ONE = SMALL.replace(decision_rules=1, max_tokens=64, sram_tokens=64, max_heads=4)
TWO = SMALL.replace(decision_rules=1, multipliers=32, chunk=8, channels=2, max_tokens=64, sram_tokens=64, topk_lanes=4,
                    max_heads=8, axi_data_bits=128)
FOUR = SMALL.replace(multipliers=16, chunk=4, channels=4, max_dim=12, max_tokens=64, sram_tokens=64, topk_lanes=4,
                     axi_addr_bits=16, axi_data_bits=32, max_group=1)
DEPTH = 8


class Walks:
    """A block with class lists and planes at random."""

    def __init__(self, c, rng, alive, by_key=False):
        """`by_key`: some keys are far for all members; their LSBs are not asked for."""
        self.c, self.rng = c, rng
        beat = c.beat_bytes
        self.block = Block(KeyWalk, c, DEPTH)
        self.base = [int(x) * beat for x in rng.integers(0, (1 << c.axi_addr_bits) // beat, 2)]
        self.head = [int(x) * beat for x in rng.integers(0, (1 << min(32, c.axi_addr_bits)) // beat, 2)]
        self.token = [int(x) * beat for x in rng.integers(0, (1 << 16) // beat, 2)]
        self.beats = rng.integers(1, c.most_beats + 1, 2).tolist()
        def joined(values, bits):
            return sum(v << (n * bits) for n, v in enumerate(values))
        self.block.set(base=joined(self.base, c.axi_addr_bits), head_stride=joined(self.head, min(32, c.axi_addr_bits)),
                       token_stride=joined(self.token, 16), beats=joined(self.beats, c.beats_bits))
        self.classes = [[t // c.slices for t in alive if t % c.slices == b] for b in range(c.slices)]
        self.block.set(counts=joined([len(k) for k in self.classes], c.max_rows.bit_length()))
        self.rows = max(map(len, self.classes))
        self.alive = alive
        if c.chunk_queries:
            self.block.set(tokens=int(alive[-1]) + 1)
        # Beyond a class's end the list shows anything.
        table = [joined([k[r] if r < len(k) else int(rng.integers(1 << c.row_bits)) for k in self.classes], c.row_bits)
                 for r in range(1 << c.row_bits)]
        self.block.lookup("list_row", "list_indexes", table)
        self.far = [int(x) * by_key for x in rng.integers(0, 1 << c.slices, 1 << c.slot_bits + c.row_bits)]
        if c.decision_rules:
            self.block.set(by_key=int(by_key))
            self.block.lookup("far_row", "far_keys", self.far if by_key else
                              rng.integers(0, 1 << c.slices, len(self.far)).tolist())

    def commands(self, count):
        c, rng = self.c, self.rng
        return {"kv_head": rng.integers(0, c.max_heads, count), "slot": rng.integers(0, c.slots, count),
                "members": rng.integers(1, 1 << c.max_group, count), "lsb": rng.integers(0, 2, count),
                **self.limits(count)}

    def limits(self, count):
        """Up to which token each command goes: behind a limit all tokens survive."""
        c, rng = self.c, self.rng
        if not c.chunk_queries:
            return {}
        tokens = int(self.alive[-1]) + 1
        gaps = np.flatnonzero(~np.isin(np.arange(tokens), self.alive))
        least = max(int(gaps[-1]) + 1 if len(gaps) else 0, int(self.alive[0]) + 1)
        limit = rng.integers(least, tokens + 1, count)
        rows = [max(np.bincount(self.alive[self.alive < n] % c.slices, minlength=c.slices)) for n in limit]
        return {"limit": limit, "final_row": np.array(rows) - 1}

    def expected(self, commands, s):
        c = self.c
        out = []
        limits = commands.get("limit", np.full(len(commands["slot"]), c.max_tokens)).tolist()
        for h, slot, members, lsb, limit in zip(*(commands[n].tolist() for n in ("kv_head", "slot", "members", "lsb")),
                                                limits, strict=True):
            b = (s - h) % c.slices
            for r, index in enumerate(self.classes[b]):
                token = index * c.slices + b
                if token >= limit:
                    continue
                assert (token + h) % c.channels == s % c.channels
                if lsb and self.far[r << c.slot_bits | slot] >> s & 1:
                    continue
                addr = self.base[lsb] + h * self.head[lsb] + token // c.channels * self.token[lsb]
                out.append((addr % (1 << c.axi_addr_bits), self.beats[lsb], s // c.channels, slot, members, r, lsb))
        return out

    def check(self, commands):
        for s in range(self.c.slices):
            got = self.block.taken(f"reads__{s}").columns()
            note = got["note"]
            columns = [got["addr"], got["beats"], note.get("slice", np.zeros_like(got["beats"])), note["slot"],
                       note["members"], note["row"], note["lsb"]]
            assert list(zip(*(c.tolist() for c in columns), strict=True)) == self.expected(commands, s)

    def counts(self, commands):
        return {f"reads__{s}": len(self.expected(commands, s)) for s in range(self.c.slices)}


def lists(c, rng):
    """Survivors: all tokens of a length, some, one, and those of two classes only."""
    length = int(rng.integers(c.max_tokens // 2, c.max_tokens + 1))
    yield np.arange(length)
    yield np.sort(rng.choice(length, length // 3, replace=False))
    yield np.array([int(rng.integers(length))])
    if c.slices > 1:
        yield np.array([t for t in range(length) if t % c.slices in (1, c.slices - 1)])


@pytest.mark.parametrize("c", [ONE, TWO, FOUR, ONE.replace(chunk_queries=1), TWO.replace(chunk_queries=1)],
                         ids=["S1", "S4C2", "S4C4", "S1 queries", "S4C2 queries"])
def test_walks(c):
    rng = numbers("key walk", c.name, c.slices, c.channels)
    for n, alive in enumerate(lists(c, rng)):
        for stall in (0.0, 0.4):
            walk = Walks(c, rng, alive)
            commands = walk.commands(12)
            for s in range(c.slices):
                walk.block.receive(f"reads__{s}", stall=stall * rng.random() * 2, seed=n * 10 + s)
            walk.block.send("cmd", commands, stall=stall, seed=n)
            walk.block.run(8000, **walk.counts(commands))
            walk.block.idle(12)
            assert walk.block.get("idle") == 1
            walk.check(commands)


@pytest.mark.parametrize("c", [ONE, TWO], ids=["S1", "S4C2"])
def test_far_keys_are_left_out(c):
    rng = numbers("key walk by key", c.slices)
    for n, alive in enumerate(lists(c, rng)):
        for stall in (0.0, 0.4):
            walk = Walks(c, rng, alive, by_key=True)
            commands = walk.commands(20)
            for s in range(c.slices):
                walk.block.receive(f"reads__{s}", stall=stall * rng.random() * 2, seed=n * 10 + s)
            walk.block.send("cmd", commands, stall=stall, seed=n)
            walk.block.run(8000, cmd=20, **walk.counts(commands))
            walk.block.idle(200)
            assert walk.block.get("idle") == 1
            walk.check(commands)


@pytest.mark.parametrize("c", [ONE, TWO], ids=["S1", "S4C2"])
def test_rate(c):
    """A row per cycle from the stated latency on; commands without a gap, also where classes are empty."""
    rng = numbers("key walk rate", c.slices)
    for alive in lists(c, rng):
        walk = Walks(c, rng, alive)
        walk.block.idle(8)
        commands = walk.commands(9)
        walk.block.send("cmd", commands)
        walk.block.run(2000, **walk.counts(commands))
        first = walk.block.taken("cmd").cycles[0] + walk.block.component.latency
        got = {s: walk.block.taken(f"reads__{s}") for s in range(c.slices)}
        for s, h_cycles in ((s, t.cycles) for s, t in got.items()):
            expected = [first + n * walk.rows + r for n, h in enumerate(commands["kv_head"].tolist())
                        for r in range(len(walk.classes[(s - h) % c.slices]))]
            assert h_cycles.tolist() == expected


def test_one_slice_blocked():
    """While one slice takes nothing, the others get as many rows as its queue is deep, and no more than its margin on
    top; nothing is lost."""
    c = TWO
    rng = numbers("key walk blocked")
    walk = Walks(c, rng, np.arange(64))
    commands = walk.commands(4)
    walk.block.receive("reads__1", stall=0.998, seed=3)
    walk.block.send("cmd", commands)
    walk.block.idle(60)
    stuck = walk.block.taken("reads__1").fired
    ahead = walk.block.taken("reads__0").fired - stuck
    assert DEPTH <= ahead <= DEPTH + QUEUE_MARGIN
    walk.block.run(60000, **walk.counts(commands))
    walk.check(commands)


def test_not_idle_while_a_row_is_inside():
    """One row of two classes, on its way and then in the queues, of which one is emptied long before the other."""
    c = TWO
    rng = numbers("key walk idle")
    walk = Walks(c, rng, np.array([1, 3]))
    commands = walk.commands(1)
    block, counts = walk.block, walk.counts(commands)
    first, second = (name for name, count in counts.items() if count)
    for of_last in (first, second):
        for name in counts:
            block.receive(name, stall=0.98 * (name == of_last), seed=7)
        block.idle(12)
        assert block.get("idle") == 1
        block.send("cmd", commands)
        block.idle(2)                                        # `idle` comes a cycle late
        for _ in range(5000):
            if block.taken(of_last).fired:
                break
            assert block.get("idle") == 0
            block.idle(1)
        block.idle(2)
        assert block.get("idle") == 1
        walk.check(commands)
