"""Plays sequencer and Q×K to a Softmax: hands out slots, sends score rows, replays flat rows, checks the rest."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.scales import score_scale
from spatten_hw.sim.golden import decision
from spatten_hw.sim.golden.softmax import softmax
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.stream.job_layouts import job_layout, scale_layout
from spatten_hw.stream.layouts import prob_row, score_row, slot_meta


@dataclass
class Vector:
    """One work item: MSB scores and what an LSB pass adds."""

    msb: np.ndarray
    lsb: np.ndarray
    tag: dict
    progressive: bool
    slot: int = -1
    replayed: bool = False


class Driver:
    """Runs vectors through the device; outputs are compared as they come."""

    def __init__(self, bench: Bench, c: SpAttenConfig, job: dict, shuffle: bool):
        self.bench, self.c, self.shuffle = bench, c, shuffle
        self.rng = bench.rng
        self.job = job
        self.lanes = c.lanes >> job["dim_log2"]
        self.scales = [score_scale(2.0 ** self.rng.uniform(-18, -2)) for _ in range(c.max_heads)]
        self.scale_words = [pack(scale_layout(), {"score_mant": m, "score_pre": p, "score_post": q,
                                                  "out_mant": 0, "out_shift": 0}) for m, p, q in self.scales]
        self.layout = score_row(c)
        self.owner: list[Vector | None] = [None] * c.slots
        self.next_slot = 0
        self.sending: list[deque[int]] = []
        self.expected: list[tuple[int, dict]] = []
        self.flats: list[int] = []
        self.seen_out = self.seen_flat = self.seen_free = self.seen_in = 0
        self.may_free: set[int] = set()
        self.lengths_in: list[tuple[int, int, bool]] = []
        for name in ("i", "meta"):
            bench.send(name, [])

    # -- vectors ----------------------------------------------------------------------------------------

    def vector(self, n: int, progressive: bool | None = None) -> Vector:
        rng, c = self.rng, self.c
        limit = 1 << (c.score_bits - 1)
        kind = rng.randrange(5)
        msb_limit = limit - (limit >> 3)
        spread = [msb_limit, msb_limit >> 6, 1, 40, 1][kind]
        msb = np.array([rng.randint(-spread, spread - 1) for _ in range(n)], dtype=np.int64)
        if kind == 2:
            msb[:] = rng.randint(-msb_limit, msb_limit)
        if kind == 4:
            msb[rng.randrange(n)] = msb_limit
        small = [limit >> 3, 3][rng.randrange(2)]
        lsb = np.array([rng.randint(-small, small - 1) for _ in range(n)], dtype=np.int64)
        tag = {"head": rng.randrange(c.max_heads), "kv_head": rng.randrange(c.max_heads),
               "query": rng.randrange(c.max_tokens), "half": rng.randrange(2), "stream_v": rng.randrange(2),
               "refetched": 0}
        return Vector(msb, lsb, tag, rng.random() < 0.6 if progressive is None else progressive)

    def result(self, v: Vector) -> tuple[np.ndarray, int]:
        scores = v.msb + v.lsb if v.replayed else v.msb
        probs, pmax = softmax(scores, len(scores), *self.scales[v.tag["head"]], self.c.max_tokens)
        return probs, int(pmax)

    # -- sending ----------------------------------------------------------------------------------------

    def rows(self, v: Vector) -> deque[int]:
        """Packed score rows; don't-care lanes hold garbage."""
        c, lay = self.c, self.layout
        scores = v.lsb if v.replayed else v.msb
        mask = (1 << c.score_bits) - 1
        out: deque[int] = deque()
        total = -(-len(scores) // self.lanes)
        for row in range(total):
            part = scores[row * self.lanes:(row + 1) * self.lanes]
            word = self.rng.getrandbits(c.lanes * c.score_bits)
            for lane, s in enumerate(part):
                at = lane * c.score_bits
                word = word & ~(mask << at) | (int(s) & mask) << at
            for name, value in (("count", len(part)), ("last", row == total - 1), ("row", row),
                                ("slot", v.slot), ("replay", v.replayed)):
                word |= int(value) << lay[name].offset
            out.append(word)
        return out

    def place(self, gang: list[Vector]) -> bool:
        """Hands out slots to a gang if they are free, in ring order."""
        slots = [(self.next_slot + n) % self.c.slots for n in range(len(gang))]
        if any(self.owner[s] is not None for s in slots):
            return False
        for v, s in zip(gang, slots, strict=True):
            v.slot, self.owner[s] = s, v
            self.bench.sources["meta"].items.append(pack(slot_meta(self.c), {
                "slot": s, "keys": len(v.msb), "progressive": int(v.progressive), "tag": v.tag}))
        self.next_slot = (self.next_slot + len(gang)) % self.c.slots
        return True

    def feed(self) -> None:
        """Keeps a few rows queued at `i`, interleaved at random or round robin."""
        source = self.bench.sources["i"]
        while self.sending and len(source.items) - source.at < 2:
            rows = self.sending.pop(self.rng.randrange(len(self.sending)) if self.shuffle else 0)
            source.items.append(rows.popleft())
            if rows:
                self.sending.append(rows)

    # -- checking ---------------------------------------------------------------------------------------

    def watch(self) -> None:
        self.head_now = int(self.bench.dut.scale_head.value)
        self.busy_now = int(self.bench.dut.busy.value)

    def taken_rows(self) -> None:
        """Notes vectors whose last row was accepted: that is the order of results."""
        source = self.bench.sources["i"]
        while self.seen_in < len(source.cycles):
            word, cycle = source.items[self.seen_in], source.cycles[self.seen_in]
            self.seen_in += 1
            row = {name: word >> self.layout[name].offset for name in ("last", "slot")}
            if not row["last"] & 1:
                continue
            slot = row["slot"] & ((1 << self.c.slot_bits) - 1)
            v = self.owner[slot]
            assert v is not None
            probs, pmax = self.result(v)
            rows = -(-len(probs) // self.c.lanes)
            flat = v.progressive and not v.replayed and bool(decision.flat(pmax, self.job["threshold"]))
            self.lengths_in.append((cycle, rows, flat))
            if flat:
                self.flats.append(slot)
                continue
            self.may_free.add(slot)
            tag = dict(v.tag)
            if v.replayed:
                tag["refetched"] = tag["stream_v"] = 1
            for r in range(rows):
                part = probs[r * self.c.lanes:(r + 1) * self.c.lanes].tolist()
                self.expected.append((len(part), {"probs": part, "last": int(r == rows - 1), "tag": tag}))

    def check(self) -> None:
        """Compares what came out since the last call."""
        out, flat, free = (self.bench.sinks[n] for n in ("o", "flat", "free"))
        while self.seen_out < len(out.items):
            got = unpack(prob_row(self.c), out.items[self.seen_out])
            count, want = self.expected[self.seen_out]
            assert got["count"] == count, (self.seen_out, got, want)
            got["probs"] = got["probs"][:count]
            assert {k: got[k] for k in want} == want, (self.seen_out, got, want)
            self.seen_out += 1
        while self.seen_flat < len(flat.items):
            slot = flat.items[self.seen_flat]
            assert self.seen_flat < len(self.flats) and slot == self.flats[self.seen_flat], "unexpected flat"
            v = self.owner[slot]
            assert v is not None
            v.replayed = True
            self.sending.append(self.rows(v))
            self.seen_flat += 1
        while self.seen_free < len(free.items):
            slot = free.items[self.seen_free]
            assert slot in self.may_free, f"slot {slot} freed too early or twice"
            self.may_free.remove(slot)
            self.owner[slot] = None
            self.seen_free += 1

    async def run(self, gangs: list[list[Vector]], limit: int) -> None:
        """All gangs through the device, then quiet."""
        bench = self.bench
        bench.dut.job.value = pack(job_layout(self.c), self.job)
        pending = deque(gangs)
        waiting: deque[tuple[int, list[Vector]]] = deque()
        first = bench.cycle
        meta = bench.sources["meta"]
        while True:
            # Vectors whose meta has gone may start.
            while waiting and waiting[0][0] <= meta.at and (self.shuffle or not self.sending):
                gang = waiting.popleft()[1]
                self.sending += [self.rows(v) for v in gang]
            while pending and self.place(pending[0]):
                waiting.append((len(meta.items), pending.popleft()))
            self.feed()
            idle = not (pending or waiting or self.sending or any(o is not None for o in self.owner))
            if idle and len(bench.sinks["o"].items) >= len(self.expected):
                break
            assert bench.cycle - first < limit, f"cycle limit {limit}: {bench.state()}"
            await bench.step(self.watch)
            bench.dut.scale.value = self.scale_words[self.head_now]
            self.taken_rows()
            self.check()
        for _ in range(30):
            await bench.step(self.watch)
            self.check()
        assert len(bench.sinks["o"].items) == len(self.expected) and not self.may_free
        assert self.seen_flat == len(self.flats)
        assert not self.busy_now, "busy after everything has left"

