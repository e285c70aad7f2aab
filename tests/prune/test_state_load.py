"""StateLoad on its own: saved lists and saved importance word for word, every kind of bad word, every cycle."""

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.prune.rows import member_bits, member_row, row_bits
from spatten_hw.prune.state_load import StateLoad
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from spatten_hw.stream.layouts import aux_command, aux_word
from tests.seeds import numbers

from .builds import tiny

#: One lane and one head; the usual; more heads than tokens, whose section needs several commands.
BUILDS = {"one": tiny(1, tokens=16, heads=1), "some": tiny(2, tokens=64, heads=5),
          "heads": tiny(4, tokens=16, heads=40)}


class Rig(wiring.Component):
    """`StateLoad` between streams. A load is offered on `loads` until it is done, as a job holds still: it starts in
    the first cycle, `ends` carries `error` in the cycle of `done`. Writes are streams that are always taken."""

    def __init__(self, name: str):
        self.config = c = BUILDS[name]
        super().__init__({
            "loads": In(stream.Signature(data.StructLayout({
                "ids": 1, "addr": unsigned(c.addr_bits), "tokens": unsigned(c.count_bits),
                "heads": unsigned(c.max_heads.bit_length())}))),
            "state_cmd": Out(stream.Signature(aux_command(c))), "state_words": In(stream.Signature(aux_word())),
            "members": Out(stream.Signature(member_row(c))), "ends": Out(stream.Signature(1)),
            "token_writes": Out(stream.Signature(data.StructLayout({
                "row": unsigned(row_bits(c)), "lanes": unsigned(c.lanes), "total": unsigned(c.token_score_bits)}))),
            "head_writes": Out(stream.Signature(data.StructLayout({
                "head": unsigned(c.head_bits), "total": unsigned(c.head_score_bits)}))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.load = load = StateLoad(self.config)
        running = Signal()
        m.d.sync += running.eq((running | self.loads.valid) & ~load.done)
        job = self.loads.p
        m.d.comb += [
            load.start.eq(self.loads.valid & ~running), self.loads.ready.eq(load.done),
            load.ids.eq(job.ids), load.addr.eq(job.addr), load.tokens.eq(job.tokens), load.heads.eq(job.heads),
            self.ends.valid.eq(load.done), self.ends.payload.eq(load.error),
            self.token_writes.valid.eq(load.write_token), self.token_writes.p.row.eq(load.write_row),
            self.token_writes.p.lanes.eq(load.write_lanes), self.token_writes.p.total.eq(load.token_total),
            self.head_writes.valid.eq(load.write_head), self.head_writes.p.head.eq(load.head),
            self.head_writes.p.total.eq(load.head_total),
        ]
        for name in ("state_cmd", "state_words", "members"):
            connect(m, getattr(load, name), flipped(getattr(self, name)))
        return m


@cache
def block_of(name: str) -> Block:
    return Block(Rig, name)


@dataclass
class Load:
    """One load: the words in memory, which of them come with an AXI error, and what must follow from them."""

    ids: bool
    tokens: int
    heads: int
    words: list[int]
    bad: set[int] = field(default_factory=set)      # words with an AXI error
    addr: int = 0

    @property
    def sections(self) -> tuple[list[int], list[int]]:
        """Words of tokens and of heads; both empty after a bad header."""
        if not self.ids:
            return self.words[:self.tokens], self.words[self.tokens:self.tokens + self.heads]
        tokens, heads = self.words[0] & 0xFFFF_FFFF, self.words[0] >> 32
        if not (1 <= tokens <= self.tokens and 1 <= heads <= self.heads) or 0 in self.bad:
            return [], []
        return self.words[1:1 + tokens], self.words[1 + tokens:1 + tokens + heads]

    @property
    def taken(self) -> int:
        """Words that are asked for."""
        return int(self.ids) + sum(map(len, self.sections))

    @property
    def error(self) -> bool:
        if any(at < self.taken for at in self.bad):
            return True
        tokens, heads = self.sections
        return self.ids and not (_legal(tokens, self.tokens) and _legal(heads, self.heads))

    def commands(self, c) -> list[tuple[int, int]]:
        """(address, words): the header alone, the rest in pieces of at most `max_tokens` words."""
        asked = [(self.addr, 1)] if self.ids else []
        for at in range(len(asked), self.taken, c.max_tokens):
            asked.append((self.addr + 8 * at, min(c.max_tokens, self.taken - at)))
        return asked


def _legal(numbers_: list[int], limit: int) -> bool:
    return bool(numbers_) and numbers_[-1] < limit and all(a < b for a, b in pairwise(numbers_))


def good_list(rng: np.random.Generator, c) -> Load:
    """A legal list; one of four is as long as its job allows, one of four has one token and one head."""
    tokens, heads = int(rng.integers(1, c.max_tokens + 1)), int(rng.integers(1, c.max_heads + 1))
    kind = rng.integers(0, 4)
    alive = [n if kind == 0 else 1 if kind == 1 else int(rng.integers(1, n + 1)) for n in (tokens, heads)]
    chosen = [sorted(rng.choice(n, k, replace=False).tolist()) for n, k in zip((tokens, heads), alive, strict=True)]
    return Load(True, tokens, heads, [alive[0] | alive[1] << 32, *chosen[0], *chosen[1]])


def bad_header(rng: np.random.Generator, c) -> list[Load]:
    """A list for every way in which its first word can be wrong."""
    loads = []
    for field_, most, shift in (("tokens", c.max_tokens, 0), ("heads", c.max_heads, 32)):
        for count in (0, "more", 1 << most.bit_length() - 1 << 1, 1 << 31, "bit 31 beside a good one"):
            load = good_list(rng, c)
            limit = getattr(load, field_)
            value = {"more": limit + 1, "bit 31 beside a good one": 1 << 31 | limit}.get(count, count)
            load.words[0] = load.words[0] & ~(0xFFFF_FFFF << shift) | value << shift
            loads.append(load)
    load = good_list(rng, c)
    load.bad = {0}
    return [*loads, load]


def bad_words(rng: np.random.Generator, c) -> list[Load]:
    """A list for every way in which a number of it can be wrong, at the first, the last and some other place."""
    loads = []
    for heads in (False, True):
        for kind in ("limit", "high bit", "top bit", "equal", "lower", "AXI"):
            low = int(kind in ("equal", "lower"))   # these need a number before them
            if low and heads and c.max_heads == 1:
                continue
            for place in ("first", "last", "any"):
                load = good_list(rng, c)
                while len(load.sections[heads]) <= low:
                    load = good_list(rng, c)
                tokens, numbers_ = load.sections[0], load.sections[heads]
                at = {"first": low, "last": len(numbers_) - 1}.get(place, int(rng.integers(low, len(numbers_))))
                value = numbers_[at]
                if kind == "limit":
                    value = load.heads if heads else load.tokens
                elif kind == "high bit":
                    value |= 1 << int(rng.integers(member_bits(c), 64))
                elif kind == "top bit":
                    value |= 1 << 63
                elif kind == "equal":
                    value = numbers_[at - 1]
                elif kind == "lower":
                    value = int(rng.integers(0, max(1, numbers_[at - 1])))
                where = 1 + (len(tokens) if heads else 0) + at
                load.words[where] = value
                load.bad = {where} if kind == "AXI" else set()
                loads.append(load)
    return loads


def importance(rng: np.random.Generator, c) -> Load:
    """Totals about the largest that the memories hold, and of any width; one load in four has an AXI error."""
    tokens, heads = (int(rng.choice([1, n, rng.integers(1, n + 1)])) for n in (c.max_tokens, c.max_heads))
    words = []
    for at in range(tokens + heads):
        top = 1 << (c.token_score_bits if at < tokens else c.head_score_bits)
        random = int(rng.integers(0, 1 << 32)) << 32 | int(rng.integers(0, 1 << 32))
        few = [0, 1, top - 2, top - 1, top, top + 1, 1 << 63, (1 << 64) - 1, random >> int(rng.integers(0, 64))]
        words.append(min(few[int(rng.integers(0, len(few)))], (1 << 64) - 1))
    return Load(False, tokens, heads, words, {int(rng.integers(0, len(words)))} if rng.random() < 0.25 else set())


def work(rng: np.random.Generator, c) -> list[Load]:
    loads = [load for _ in range(4) for load in (*bad_header(rng, c), *bad_words(rng, c))]
    assert sum(load.error for load in loads) == len(loads), "every one of these is illegal"
    loads += [good_list(rng, c) for _ in range(40)] + [importance(rng, c) for _ in range(60)]
    for load in loads:
        load.addr = 8 * int(rng.integers(0, (1 << c.addr_bits) // 8 - c.max_tokens - c.max_heads - 1))
    return [loads[at] for at in rng.permutation(len(loads))]


def send(block: Block, rng: np.random.Generator, loads: list[Load], stall: float, wait: bool) -> None:
    """Offers loads and words; with `wait` a word comes once its command was taken, else as early as it is wanted."""
    c = block.component.config
    for name in ("state_cmd", "members", "ends", "token_writes", "head_writes"):
        block.receive(name, stall=stall if name == "state_cmd" else 0, seed=int(rng.integers(1, 1000)))
    after, commands, words, errors = [], 0, [], []
    for load in loads:
        for _, count in load.commands(c):
            commands += 1
            after += [commands] * count
        words += load.words[:load.taken]
        errors += [int(at in load.bad) for at in range(load.taken)]
    block.send("state_words", pack(aux_word(), {
        "data": np.array([*words, None], dtype=object)[:-1], "error": np.array(errors),
        "last": rng.integers(0, 2, len(words)),
    }), after=("state_cmd", after) if wait else None, stall=stall, seed=int(rng.integers(1, 1000)))
    layout = block.component.loads.p.shape()
    block.send("loads", pack(layout, {name: np.array([int(getattr(load, name)) for load in loads])
                                      for name in ("ids", "addr", "tokens", "heads")}))


def check(block: Block, loads: list[Load]) -> None:
    c = block.component.config
    asked = block.taken("state_cmd").columns()
    assert list(zip(asked["addr"].tolist(), asked["words"].tolist(), strict=True)) == [
        command for load in loads for command in load.commands(c)]
    assert block.taken("state_words").fired == sum(load.taken for load in loads)
    assert block.taken("ends").integers() == [int(load.error) for load in loads]
    written = block.taken("token_writes").columns()
    totals = [load.sections for load in loads if not load.ids]
    assert list(zip(*(written[name].tolist() for name in ("row", "lanes", "total")), strict=True)) == [
        (at // c.lanes, 1 << at % c.lanes, min(word, (1 << c.token_score_bits) - 1))
        for tokens, _ in totals for at, word in enumerate(tokens)]
    written = block.taken("head_writes").columns()
    assert list(zip(written["head"].tolist(), (int(t) for t in written["total"]), strict=True)) == [
        (at, min(word, (1 << c.head_score_bits) - 1)) for _, heads in totals for at, word in enumerate(heads)]
    check_members(block, loads)


def check_members(block: Block, loads: list[Load]) -> None:
    """Rows of the lists: full but for the last, ids of all good words; none of a list with a bad header."""
    c = block.component.config
    rows = block.taken("members").columns()
    at = 0
    for load in (load for load in loads if load.ids):
        tokens, heads = load.sections
        pieces = [(tokens[n:n + c.lanes], n + c.lanes >= len(tokens), False) for n in range(0, len(tokens), c.lanes)]
        pieces += [([head], n == len(heads) - 1, True) for n, head in enumerate(heads)]
        for piece, last, is_head in pieces:
            assert (rows["count"][at], rows["last"][at], rows["heads"][at]) == (len(piece), last, is_head), load
            for got, want in zip(rows["ids"][at], piece, strict=False):
                assert got == want or load.error, load
            at += 1
    assert at == len(rows["count"])


@pytest.mark.parametrize("name", BUILDS)
def test_every_word_under_stalls(name):
    """Words that come late and with gaps, commands that wait: the same, and all that was asked for is taken."""
    rng, block = numbers("state_load", name), block_of(name)
    for stall in (0.0, 0.3, 0.8):
        loads = work(rng, block.component.config)
        send(block, rng, loads, stall, wait=True)
        block.run(200_000, ends=len(loads))
        block.idle(20)
        check(block, loads)
        errors = [load.error for load in loads if load.ids]
        assert any(errors) and not all(errors)


@pytest.mark.parametrize("name", BUILDS)
def test_one_word_per_cycle_and_done_when_stated(name):
    """Words that are there when wanted: one per cycle, one cycle more after a header; `done` two cycles after the last
    one; the first command in the cycle after the start, the next ones two cycles after the header and one by one."""
    rng, block = numbers("state_load rate", name), block_of(name)
    c = block.component.config
    loads = work(rng, c)
    start = block.cycle
    send(block, rng, loads, 0, wait=False)
    block.run(200_000, ends=len(loads))
    check(block, loads)
    words, commands, ends = [], [], []
    for load in loads:
        body = start + 1 + 2 * load.ids
        here = [start + 1] * load.ids + [body + n for n in range(load.taken - load.ids)]
        commands += [start + 1] * load.ids + [body + n for n in range(len(load.commands(c)) - load.ids)]
        words += here
        ends.append(here[-1] + 2)
        start = ends[-1] + 1
    assert block.taken("state_words").cycles.tolist() == words
    assert block.taken("state_cmd").cycles.tolist() == commands
    assert block.taken("ends").cycles.tolist() == ends
