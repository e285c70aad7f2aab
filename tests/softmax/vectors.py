"""Plays walker and Q×K to a Softmax: hands out slots, sends scores of every slice, replays flat vectors, checks the
rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.scales import score_scale
from spatten_hw.sim.golden import decision
from spatten_hw.sim.golden.softmax import softmax
from spatten_hw.sim.harness.block import Block


@dataclass
class Vector:
    """One work item: MSB scores and what an LSB pass adds, by slice; `progressive`; `number` is in its tag. `seen`:
    keys of every slice that its query sees, of those that are scored; None: all."""

    msb: list[np.ndarray]
    lsb: list[np.ndarray]
    tag: dict[str, int]
    progressive: bool
    slot: int = -1
    replayed: bool = False
    flat: bool = False
    left: int = 0
    seen: np.ndarray | None = None

    @property
    def keys(self) -> np.ndarray:
        return np.array([len(s) for s in self.msb])

    @property
    def live(self) -> np.ndarray:
        """Bool [rows, S]: what the query sees."""
        return np.arange(self.keys.max())[:, None] < (self.keys if self.seen is None else self.seen)

    def scores(self) -> np.ndarray:
        """In vector order: by row, then by slice."""
        parts = [m + low for m, low in zip(self.msb, self.lsb, strict=True)] if self.replayed else self.msb
        table = np.zeros(self.live.shape, dtype=np.int64)
        for s, part in enumerate(parts):
            table[:len(part), s] = part
        return table[self.live]

    @property
    def meta(self) -> dict[str, np.ndarray]:
        """Its keys as `slot_meta` has them."""
        return {"keys": self.keys} if self.seen is None else {"keys": self.seen, "scored": self.keys}


def lengths(rng: np.random.Generator, c: SpAttenConfig, most: int = 100) -> np.ndarray:
    """Keys of every slice: as in a prompt, or any."""
    kind = rng.integers(0, 4)
    if kind == 0:
        n = int(rng.integers(1, min(most, c.max_tokens) + 1))
        return np.array([(n - s + c.slices - 1) // c.slices for s in range(c.slices)])
    top = min(c.max_rows, -(-most // c.slices))
    keys = rng.integers(0, top + 1, c.slices)
    if kind == 1:
        keys[:] = 0
    if kind == 2:
        keys[:] = top
    keys[rng.integers(0, c.slices)] = rng.integers(1, top + 1)
    return keys


def draw(rng: np.random.Generator, c: SpAttenConfig, number: int, keys: np.ndarray, progressive: bool) -> Vector:
    limit = 1 << (c.score_bits - 1)
    msb_limit, n = limit - (limit >> 3), int(keys.sum())
    kind = rng.integers(0, 5)
    spread = [msb_limit, msb_limit >> 6, 1, 40, 1][kind]
    msb = rng.integers(-spread, spread, n)
    if kind == 2:
        msb[:] = rng.integers(-msb_limit, msb_limit)
    if kind == 4:
        msb[rng.integers(0, n)] = msb_limit
    small = int(rng.choice([limit >> 3, 3]))
    lsb = rng.integers(-small, small, n)
    tag = {"query": number % c.max_tokens, "head": number // c.max_tokens % c.max_heads,
           "kv_head": number // c.max_tokens // c.max_heads, "half": int(rng.integers(0, 2)),
           "stream": int(rng.integers(0, 2)), "refetched": int(not progressive and rng.random() < 0.3),
           "item": int(rng.integers(0, c.items)), "gang": int(rng.integers(0, c.max_group + 1))}
    cuts = np.cumsum(keys)[:-1]
    return Vector(np.split(msb, cuts), np.split(lsb, cuts), tag, progressive)


class Driver:
    """Runs vectors through the device a few cycles at a time, as its answers allow."""

    def __init__(self, block: Block, c: SpAttenConfig, rng: np.random.Generator, threshold: int):
        self.block, self.c, self.rng, self.threshold = block, c, rng, threshold
        self.scales = [score_scale(2.0 ** rng.uniform(-18, -2)) for _ in range(c.max_heads)]
        mant, pre, post = (np.array(column) for column in zip(*self.scales, strict=True))
        block.lookup("scale_head", "scale", {"score_mant": mant, "score_pre": pre, "score_post": post})
        block.set(job={"threshold": threshold})
        self.owner: list[Vector | None] = [None] * c.slots
        self.pending: list[list[tuple[Vector, int, int, bool]]] = [[] for _ in range(c.slices)]
        self.may_free: list[bool] = [False] * c.slots
        self.want: dict[tuple[int, int, int], tuple[Vector, np.ndarray]] = {}
        self.flats = self.seen_decided = self.seen_free = self.seen_rows = 0

    def send_scores(self, stall: float) -> None:
        """Offers each slice some of its scores, in any order or one vector after the other."""
        mix = self.rng.random() < 0.7
        self.offered = []
        for s, queue in enumerate(self.pending):
            if mix:
                queue[:] = [queue[at] for at in self.rng.permutation(len(queue))]
            part = queue[:16]
            self.offered.append(part)
            values = [(v.lsb if replay else v.msb)[s][row] for v, _, row, replay in part]
            self.block.send(f"i__{s}", {
                "score": np.array(values, dtype=np.int64),
                "slot": np.array([slot for _, slot, _, _ in part], dtype=int),
                "row": np.array([row for _, _, row, _ in part], dtype=int),
                "replay": np.array([replay for *_, replay in part], dtype=int)} if part else [], stall=stall,
                seed=int(self.rng.integers(1, 1000)))

    def sent_scores(self) -> None:
        """Forgets what went; a vector's last score decides what is expected of it."""
        for s, part in enumerate(self.offered):
            for vector, *_ in part[:self.block.taken(f"i__{s}").fired]:
                vector.left -= 1
                if vector.left == 0:
                    self.complete(vector)
            del self.pending[s][:self.block.taken(f"i__{s}").fired]

    def complete(self, v: Vector) -> None:
        scores = v.scores()
        probs, pmax = softmax(scores, len(scores), *self.scales[v.tag["head"]], self.c.max_tokens)
        v.flat = bool(v.progressive and not v.replayed and decision.flat(int(pmax), self.threshold))
        self.flats += v.flat
        if v.flat and not v.tag["stream"]:
            # A prompt's query: it would come again as a new vector.
            self.may_free[v.slot] = True
        if not v.flat:
            self.may_free[v.slot] = True
            self.want[v.tag["query"], v.tag["head"], v.tag["kv_head"]] = v, probs

    def queue(self, v: Vector) -> None:
        v.left = int(v.keys.sum())
        for s, keys in enumerate(v.keys):
            self.pending[s] += [(v, v.slot, row, v.replayed) for row in self.rng.permutation(keys).tolist()]

    def check(self) -> None:
        """What has come out since the last time."""
        block, c = self.block, self.c
        decided = block.taken("decided")
        if decided.fired > self.seen_decided:
            columns = decided.columns()
            for at in range(self.seen_decided, decided.fired):
                v = self.owner[columns["slot"][at]]
                assert v.progressive and not v.replayed and bool(columns["flat"][at]) == v.flat
                for name, value in v.tag.items():
                    assert columns["tag"][name][at] == value, name
                if v.flat and v.tag["stream"]:
                    v.replayed = True
                    self.queue(v)
            self.seen_decided = decided.fired
        free = block.taken("free")
        for slot in free.columns()["slot"][self.seen_free:].tolist():
            assert self.may_free[slot], f"slot {slot} is freed too early, or twice"
            self.may_free[slot], self.owner[slot] = False, None
        self.seen_free = free.fired
        out = block.taken("o")
        columns = out.columns() if out.fired > self.seen_rows else None
        while self.seen_rows < out.fired:
            tags, at = columns["tag"], self.seen_rows
            v, probs = self.want[tags["query"][at], tags["head"][at], tags["kv_head"][at]]
            rows = len(v.live)
            if at + rows > out.fired:
                return
            want = np.zeros(v.live.shape, dtype=np.int64)
            want[v.live] = probs
            part = slice(at, at + rows)
            assert np.array_equal(columns["probs"][part], want)
            assert np.array_equal(columns["live"][part], v.live @ (1 << np.arange(c.slices)))
            assert columns["last"][part].tolist() == [0] * (rows - 1) + [1]
            for name, value in (v.tag | ({"refetched": 1} if v.replayed else {})).items():
                assert (tags[name][part] == value).all(), name
            del self.want[v.tag["query"], v.tag["head"], v.tag["kv_head"]]
            self.seen_rows += rows

    def run(self, vectors: list[Vector], limit: int, stall: float = 0.0) -> None:
        """All vectors through the device, then quiet; the outputs' stalls are as `receive` was told before."""
        block, first = self.block, self.block.cycle
        waiting = list(vectors)
        while waiting or any(self.owner) or self.want:
            assert block.cycle - first < limit, f"cycle limit {limit}"
            placed = []
            free = [s for s, owner in enumerate(self.owner) if owner is None]
            for slot in free[:int(self.rng.integers(0, 5))]:
                if waiting:
                    v = waiting.pop(0)
                    v.slot, self.owner[slot] = slot, v
                    placed.append(v)
            block.send("meta", {
                "slot": np.array([v.slot for v in placed], dtype=int),
                **{name: np.array([v.meta[name] for v in placed], dtype=int).reshape(len(placed), self.c.slices)
                   for name in (placed[0].meta if placed else ())},
                "progressive": np.array([v.progressive for v in placed], dtype=int),
                "tag": {name: np.array([v.tag[name] for v in placed], dtype=int) for name in
                        ("query", "head", "kv_head", "half", "stream", "refetched", "item", "gang")}} if placed else [])
            self.send_scores(stall)
            block.idle(int(self.rng.integers(5, 20)))
            self.sent_scores()
            for v in placed:
                self.queue(v)
            self.check()
        block.idle(20)
        self.check()
        assert not any(self.may_free)
        assert block.get("busy") == 0, "busy after everything has left"
