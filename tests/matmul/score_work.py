"""What goes into Q×K of a slice, and what must come out: for its benches."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from spatten_hw.matmul.score import ScoreSlice, issue_latency
from spatten_hw.sim.harness.block import Block
from spatten_hw.stream.read_layouts import ReadKind, key_note, shared_note

from .slice_rows import BUILDS, Chunks, operands


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
