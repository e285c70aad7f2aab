"""What surrounds the walker of a layer: scores, decisions and outputs of made-up work items, and what must hold of the
items it issues."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.walker import AHEAD, Walker
from spatten_hw.sim.harness.block import Block

from .steps import Steps


def random_layer(rng: np.random.Generator, c: SpAttenConfig, **fixed) -> SimpleNamespace:
    """A job of the walker and what survives in it."""
    group = int(rng.integers(1, c.max_group + 1))
    j = SimpleNamespace(generate=int(rng.integers(2)), group=group, k_lsb=int(rng.choice([0, 4])), causal=0, flat=0.4)
    j.__dict__.update(fixed)
    if not j.generate and "causal" not in fixed:
        j.causal = int(rng.integers(2))
    count = c.max_heads // j.group
    j.heads = sorted(rng.choice(count, int(rng.integers(1, count + 1)), replace=False).tolist())
    most = c.max_tokens if j.generate else min(c.max_tokens, 12)
    j.ids = sorted(rng.choice(c.max_tokens, int(rng.integers(1, most + 1)), replace=False).tolist())
    j.counts = rng.integers(0, c.max_rows + 1, c.slices).tolist()
    j.queries, j.tokens = 0, c.max_tokens
    if c.chunk_queries:
        _several_queries(rng, c, j)
    return j


def _several_queries(rng: np.random.Generator, c: SpAttenConfig, j: SimpleNamespace) -> None:
    """Makes the last tokens of a generation job its queries, all of which survive."""
    j.tokens = j.ids[-1] + 1
    if j.generate:
        j.queries = int(rng.integers(0, min(j.tokens, 3 * c.max_group) + 1))
        j.causal = int(rng.integers(2)) if j.queries else 0
        j.ids = sorted({*j.ids, *range(j.tokens - max(1, j.queries), j.tokens)})
    j.counts = np.bincount(np.array(j.ids) % c.slices, minlength=c.slices).tolist()


def ahead(rows: int) -> int:
    """Walks that may be under way, each of so many rows."""
    return next(count for least, count in reversed(AHEAD.items()) if rows >= least)


class LayerWorld:
    """One layer through `block` (a Walker), a cycle at a time. Every item is compared as its `meta` comes."""

    def __init__(self, block: Block, rng: np.random.Generator, j: SimpleNamespace, busy: float = 0.5,
                 walk_cycles: int = 0):
        self.block, self.rng, self.j, self.busy, self.walk_cycles = block, rng, j, busy, walk_cycles
        assert isinstance(block.component, Walker)
        self.c = block.component.config
        self.steps = Steps(block)
        self.slots: dict[int, SimpleNamespace] = {}      # slot → its item
        self.items: dict[int, SimpleNamespace] = {}      # item number → item
        self.metas: list[SimpleNamespace] = []
        self.walks: list[dict] = []
        self.running: list[int] = []                     # cycles that each walk takes from its turn on
        self.most_running = 0
        self.scored: list[SimpleNamespace] = []          # scores are complete
        self.deciding: SimpleNamespace | None = None
        self.gangs: dict[int, list[SimpleNamespace]] = {}
        self.half_full, self.half_head = [0, 0], 0       # a half is full; the head that the next fill is for
        self.halves_done = 0
        self.lsb_left = 0
        self.lsb_heads: list[int] = []
        self.counted = dict.fromkeys(("item", "query", "slot_taken", "replayed", "dropped"), 0)
        self.flat_lists: dict[int, list[int]] = {}       # query head → positions of its flat queries, as decided
        self.flats = 0
        self.q, self.scores, self.answered = [], [], 0
        self.expected = self.items_in_order()
        self.first_number: tuple[int, int] | None = None
        self.issued_all = False

    # -- what must come -----------------------------------------------------------------------------------

    def items_in_order(self) -> Iterator[tuple[int, int, int, int]]:
        """(K/V head, member, position, second pass) of every item; flat queries are known when they are wanted."""
        j = self.j
        for h in j.heads:
            if j.generate:
                yield from ((h, g, p, 0) for p in range(max(1, j.queries)) for g in range(j.group))
            for g in range(j.group):
                if j.generate:
                    continue
                for p in range(len(j.ids)):
                    yield h, g, p, 0
                yield from ((h, g, p, 1) for p in self.flat_lists.get(h * j.group + g, []))

    def block_of(self, position: int) -> range:
        """The queries that share rows with one."""
        size = self.c.chunk_positions(self.j.group)
        first = position // size * size
        return range(first, min(first + size, max(1, self.j.queries)))

    def seen(self, kv_head: int, position: int) -> list[int]:
        """Keys of every slice for a query of several."""
        c, j = self.c, self.j
        limit = j.tokens - max(1, j.queries) + position + 1 if j.causal else j.tokens
        ids = np.array([t for t in j.ids if t < limit])
        return np.bincount((ids + kv_head) % c.slices, minlength=c.slices).tolist()

    def keys_of(self, kv_head: int, position: int) -> list[int]:
        c, j = self.c, self.j
        if j.generate and c.chunk_queries:
            return self.seen(kv_head, position)
        if j.generate:
            return [j.counts[(s - kv_head) % c.slices] for s in range(c.slices)]
        keys = position + 1 if j.causal else len(j.ids)
        return [len(range((s - kv_head) % c.slices, keys, c.slices)) for s in range(c.slices)]

    def issue(self, meta: dict) -> None:
        c, j, tag, slot = self.c, self.j, meta["tag"], meta["slot"]
        number, item = len(self.metas), tag["item"]
        if self.first_number is None:
            self.first_number = slot, item
        kv_head, member, position, again = next(self.expected)
        head = kv_head * j.group + member
        block = self.block_of(position)
        before = (position - block[0]) * j.group + member if j.generate else 0
        first = self.metas[number - before].item if before else item
        scored = {"scored": self.seen(kv_head, block[-1]) if j.generate else self.keys_of(kv_head, position)}
        assert meta == (scored if c.chunk_queries else {}) | {
            "slot": (self.first_number[0] + number) % c.slots, "keys": self.keys_of(kv_head, position),
            "progressive": int(j.k_lsb != 0 and not again),
            "tag": {"head": head, "kv_head": kv_head, "query": position if j.generate else j.ids[position],
                    "half": 0 if j.generate else j.heads.index(kv_head) % 2, "stream": j.generate, "refetched": again,
                    "item": (self.first_number[1] + number) % c.items, "first": first,
                    "gang": len(block) * j.group if j.generate else 1}}, number
        assert slot not in self.slots and item not in self.items, "a number is given out twice"
        if again:
            assert self.lsb_heads and self.lsb_heads[-1] == kv_head and not self.lsb_left, "LSBs are not there"
        work = SimpleNamespace(tag=tag, slot=slot, item=item, position=position, again=again, first=first, flat=False,
                               progressive=meta["progressive"], gang=tag["gang"])
        self.metas.append(work)
        self.slots[slot] = self.items[item] = work
        self.gangs.setdefault(first, [])

    def walk(self, command: dict) -> None:
        c, j = self.c, self.j
        members = [self.slots[(command["slot"] + n) % c.slots] for n in range(c.max_group)
                   if command["members"] >> n & 1]
        self.walks.append(command)
        assert all(m.tag["kv_head"] == command["kv_head"] for m in members)
        leader = self.items[members[0].first]
        assert command["slot"] == (members[0].slot - (members[0].item - leader.item) % c.items) % c.slots
        # It runs for a while, and no more than a few wait behind it.
        self.running.append(self.walk_cycles or int(self.rng.integers(1, 30)))
        self.most_running = max(self.most_running, len(self.running))
        assert len(self.running) <= ahead(len(j.ids) // c.slices)
        if command["lsb"]:
            assert members and all(m.flat and not m.again for m in members)
            gang = [m for m in self.items.values() if m.first == leader.first]
            assert all(m.decided for m in gang) and [m for m in gang if m.flat] == members
            for m in members:
                m.again = 1
        else:
            block = self.block_of(members[0].position)
            assert [m.tag["head"] for m in members] == [
                command["kv_head"] * j.group + n for _ in block for n in range(j.group)]
            assert all(m.first == leader.item for m in members)
        if c.chunk_queries:
            block = self.block_of(members[0].position)
            assert command["final_row"] == max(self.seen(command["kv_head"], block[-1])) - 1
            assert command["limit"] == (j.tokens - max(1, j.queries) + block[-1] + 1 if j.causal else j.tokens)
        self.scored += members

    def look(self) -> None:
        """Pulses of this cycle."""
        get = self.block.get
        for name in self.counted:
            self.counted[name] += get(name)
        self.issued_all = bool(get("issued_all"))
        if get("item"):
            assert get("slot_taken") and get("item_half") in ((0,) if self.j.generate else (self.halves_done % 2,))
            assert self.j.generate or self.half_full[get("item_half")] == 1, "an item comes before its keys"
        done = get("half_done")
        if done:
            assert done == 1 << self.halves_done % 2
            self.half_full[self.halves_done % 2] = 0
            self.halves_done += 1
        if get("lsb_wanted"):
            assert not self.lsb_left and get("lsb_half") == self.halves_done % 2
            head = self.j.heads[self.halves_done]
            assert head not in self.lsb_heads, "LSBs of a head are wanted once"
            self.lsb_heads.append(head)
            self.lsb_left = int(self.rng.integers(1, 12)) if self.busy < 1 else 1
        elif self.lsb_left:
            self.lsb_left -= 1
        if get("dropped"):
            assert get("dropped_half") == self.halves_done % 2

    # -- what it is answered ------------------------------------------------------------------------------

    def free(self, work: SimpleNamespace) -> None:
        """The vector leaves the softmax."""
        self.block.send("free", {"slot": [work.slot]})
        self.leaving.append(work)

    def drive(self) -> None:
        """Inputs of this cycle; `leaving` has gone when it is over."""
        rng, block = self.rng, self.block
        self.leaving: list[SimpleNamespace] = []
        if self.deciding is not None and block.taken("decided").fired:
            work, self.deciding = self.deciding, None
            work.decided = True
            if not work.flat or not work.tag["stream"]:
                work.progressive = 0
                self.scored.append(work)
                if work.flat:
                    self.flat_lists.setdefault(work.tag["head"], []).append(work.position)
        if self.scored and rng.random() < self.busy:
            work = self.scored.pop(int(rng.integers(len(self.scored))))
            if work.progressive and not work.flat:
                if self.deciding is not None:
                    self.scored.append(work)
                else:
                    work.flat, work.decided = bool(rng.random() < self.j.flat), False
                    self.flats += work.flat
                    block.send("decided", {"slot": [work.slot], "flat": [int(work.flat)], "tag": {
                        name: [value] for name, value in work.tag.items()}})
                    self.deciding = work
            else:
                self.free(work)
        if self.running:
            self.running[0] -= 1
            if self.running[0] < 0:
                self.running.pop(0)
                self.steps.pulse(walked=1)
        full = [g for g, gone in self.gangs.items() if gone and len(gone) == gone[0].gang]
        if full and rng.random() < self.busy:
            first = int(rng.choice(full))
            gang = self.gangs.pop(first)
            self.steps.pulse(items_freed=1)
            block.set(items_first=first, items_gang=len(gang))
            self.leaving += gang
        if not self.j.generate and self.half_head < len(self.j.heads) and not self.half_full[self.half_head % 2] \
                and self.half_head < self.halves_done + 2 and rng.random() < self.busy / 2:
            self.half_full[self.half_head % 2] = 1
            self.half_head += 1
        block.set(half_ready=self.half_full[0] | self.half_full[1] << 1, lsb_ready=int(not self.lsb_left))

    def cycle(self) -> None:
        self.drive()
        self.steps.step(self.look)
        for work in self.leaving:
            if self.slots.get(work.slot) is work:        # out of the softmax
                del self.slots[work.slot]
                if work.flat and not work.tag["stream"]:
                    del self.items[work.item]
                    del self.gangs[work.first]
                else:
                    self.gangs[work.first].append(work)
            else:                                        # out of Prob×V
                del self.items[work.item]
        steps = self.steps
        for meta in steps.read("meta"):
            self.issue(meta)
        self.q += steps.read("q_cmd")
        self.scores += steps.read("score_cmd")
        while self.answered < min(len(self.scores), len(self.metas)):      # a command is ahead of its `meta`
            self.scored.append(self.slots[self.scores[self.answered]["slot"]])
            self.answered += 1
        for command in steps.read("k_walk"):
            self.walk(command)

    def run(self, stall: float = 0.0, limit: int = 8000) -> None:
        c, j, block = self.c, self.j, self.block
        stalls = dict.fromkeys(("q_cmd", "k_walk", "score_cmd"), stall) | {"meta": 0.0}
        self.steps.receive(stalls, int(self.rng.integers(1, 1000)))
        lanes = [j.ids[r:r + c.slices] for r in range(0, len(j.ids), c.slices)]
        block.lookup("list_row", "list_ids", [sum(v << c.token_bits * s for s, v in enumerate(row)) for row in lanes])
        block.send("decided", [])
        block.set(job={"generate": j.generate, "group": j.group, "causal": j.causal, "k_lsb": j.k_lsb,
                       "tokens": j.tokens, **({"queries": j.queries} if self.c.chunk_queries else {})},
                  heads=sum(1 << h for h in j.heads), alive=len(j.ids),
                  counts=sum(n << c.max_rows.bit_length() * s for s, n in enumerate(j.counts)))
        block.idle(12)
        self.steps.pulse(start=1)
        for _ in range(2):      # it is at work from the second cycle on
            self.cycle()
        while not (self.issued_all and not self.items and not self.running):
            self.cycle()
            limit -= 1
            assert limit, f"{len(self.metas)} items after the limit of cycles, {len(self.items)} of them not gone"
        for _ in range(10):
            self.cycle()
        self.finish()

    def finish(self) -> None:
        """All is over: nothing is missing, nothing too much."""
        j = self.j
        assert next(self.expected, None) is None and not self.slots
        assert [(q["head"], q["token"], q["slot"]) for q in self.q] == [
            (w.tag["head"], w.tag["query"], w.slot) for w in self.metas]
        plain = [w for w in self.walks if not w["lsb"]]
        sizes = [len(self.block_of(p)) for p in range(0, max(1, j.queries), self.c.chunk_positions(j.group))]
        assert [w["kv_head"] for w in plain] == ([h for h in j.heads for _ in sizes] if j.generate else [])
        assert [w["members"] for w in plain] == [(1 << n * j.group) - 1 for _ in j.heads * j.generate for n in sizes]
        members = sum(w["members"].bit_count() for w in self.walks if w["lsb"])
        second = sum(w.tag["refetched"] for w in self.metas)
        assert (members, second) == ((self.flats, 0) if j.generate else (0, self.flats))
        assert len(self.lsb_heads) == len({w.tag["kv_head"] for w in self.metas if w.tag["refetched"]})
        counted = {"item": len(self.metas), "query": len(self.metas) - second, "slot_taken": len(self.metas),
                   "dropped": second, "replayed": self.flats}
        assert self.counted == counted
        assert self.halves_done == (0 if j.generate else len(j.heads))
        keys = [w.position + 1 if j.causal else len(j.ids) for w in self.metas]
        assert self.scores == ([] if j.generate else [
            {"slot": w.slot, "keys": k, "half": w.tag["half"], "refetched": w.tag["refetched"],
             "turn": w.tag["kv_head"] % self.c.slices}
            for w, k in zip(self.metas, keys, strict=True)])
