"""Q×K of a slice by itself: rates over mixes of vector lengths, from SRAM and from memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.matmul.score import ScoreSlice, score_latency, stream_latency
from spatten_hw.sim.golden.score import scores
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import Progress
from spatten_hw.stream.read_layouts import ReadKind, key_note, shared_note

from .blocks import Figure, compare, mixes, span
from .unit_operands import LONGEST_STREAMED, joined, operand_chunks, operands


class _Score:
    """Slice 0 at one D, both SRAM halves filled, every slot with a query. It has keys 0, S, 2·S …"""

    def __init__(self, block: Block, dim: int, rng: np.random.Generator):
        c = self.c = block.component.config  # type: ignore[attr-defined]
        self.block, self.dim, self.chunks = block, dim, dim // c.chunk
        block.reset()
        block.set(chunks=self.chunks, number=0, has_lsb=0)
        rows = min(c.max_rows, c.sram_words // self.chunks)
        self.room = min(c.max_tokens, rows * c.slices)
        self.keys = [operands(c, rng, rows, dim) for _ in (0, 1)]
        self.queries = operands(c, rng, c.slots, dim)
        slots = np.arange(c.slots)
        fills = [operand_chunks(c, shared_note(c), k, kind=ReadKind.KEY.value, half=half, index=np.arange(rows))
                 for half, k in enumerate(self.keys)]
        self.block.send("slot_taken", {"slot": slots})
        self.block.run(10 + c.slots, slot_taken=c.slots)
        self.block.send("shared", joined([*fills, self._q(slots)]))
        count = (2 * rows + c.slots) * self.chunks
        self.block.run(10 + count, shared=count)
        self.block.idle(10)

    def _q(self, slots: np.ndarray) -> np.ndarray:
        return operand_chunks(self.c, shared_note(self.c), self.queries[slots], kind=ReadKind.QUERY.value, index=slots)

    def rows(self, n: int) -> int:
        """Keys of this slice."""
        return -(-n // self.c.slices)

    def sram(self, lengths: Sequence[int], again: bool = False) -> list[str]:
        """Commands of `lengths` back to back, halves in turn. `again`: every one has a new query, whose slot is given
        out when its last scores are out."""
        block, c = self.block, self.c
        number = np.arange(len(lengths))
        slots = number % c.slots
        rows = [self.rows(n) for n in lengths]
        block.receive("o")
        late = None
        if again:
            done = np.concatenate([np.zeros(c.slots, dtype=np.int64), np.cumsum(rows)])[:len(lengths)]
            block.send("slot_taken", {"slot": slots}, after=("o", done))
            block.send("shared", self._q(slots), after=("slot_taken", np.repeat(number + 1, self.chunks)))
            late = ("slot_taken", number + 1)
        block.send("cmd", {"slot": slots, "keys": np.array(lengths), "half": number % 2}, after=late)
        want = [scores(self.queries[slot:slot + 1], self.keys[at % 2][:n])[0]
                for at, (slot, n) in enumerate(zip(slots, rows, strict=True))]
        return self._compare(np.concatenate(want), np.repeat(slots, rows), np.concatenate([np.arange(n) for n in rows]))

    def stream(self, keys: Sequence[np.ndarray], gang: int) -> list[str]:
        """Gangs of queries against the rows of `keys` [rows, D] each."""
        block, c = self.block, self.c
        first = np.arange(len(keys)) * gang % c.slots
        rows = [len(k) for k in keys]
        row = np.concatenate([np.arange(n) for n in rows])
        block.receive("o")
        block.send("k_chunks", operand_chunks(c, key_note(c), np.concatenate(keys), slot=np.repeat(first, rows),
                                              members=(1 << gang) - 1, row=row))
        members = (first[:, None] + np.arange(gang)) % c.slots
        want = [scores(self.queries[of], k).T.ravel() for of, k in zip(members, keys, strict=True)]
        return self._compare(np.concatenate(want), np.repeat(members, rows, axis=0).ravel(), np.repeat(row, gang))

    def _compare(self, exact: np.ndarray, slots: np.ndarray, rows: np.ndarray) -> list[str]:
        self.block.run(400 + 30 * self.chunks * len(exact), o=len(exact))
        got = self.block.taken("o").columns()
        mismatches: list[str] = []
        for name, values in (("score", exact), ("slot", slots), ("row", rows)):
            compare(name, got[name], values, mismatches)
        return mismatches

    def figure(self, case: str, items: int, mismatches: list[str], gang: int = 1, streamed: bool = False,
               note: str = "") -> Figure:
        """A product per cycle: the first score ends a row of chunks, so these cycles are not among those counted."""
        out = self.block.taken("o")
        stated = self.chunks * out.fired - gang * (self.chunks - 1)
        if streamed:
            since, latency = self.block.taken("k_chunks").cycles[self.chunks - 1], stream_latency(self.c)
        else:
            since, latency = self.block.taken("cmd").cycles[0], score_latency(self.c, self.chunks)
        return Figure("Q×K", f"D={self.dim}, {case}", items, span(out), stated, span(out) - stated,
                      int(out.cycles[0] - since), latency, note,
                      [f"Q×K, D={self.dim}, {case}: {m}" for m in mismatches])


def score(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """Q×K of a slice: `count` commands per mix from SRAM, queries there; rows of K from memory for gangs; then with
    queries that wait for their slots' scores, as the ring of slots has it."""
    block = Block(ScoreSlice, c, progress=progress)
    figures = []
    for dim in c.dims:
        unit = _Score(block, dim, rng)
        for name, lengths in mixes(rng, c.slices, unit.room, count).items():
            figures.append(unit.figure(f"SRAM, {name}", count, unit.sram(lengths)))
        lengths = mixes(rng, c.slices, min(c.max_tokens, LONGEST_STREAMED), count)["mixed"]
        streamed = [operands(c, rng, unit.rows(n), dim) for n in lengths]
        for gang in sorted({1, c.max_group}):
            mismatches = unit.stream(streamed, gang)
            figures.append(unit.figure(f"streamed, gangs of {gang}", gang * count, mismatches, gang, streamed=True))
        for name, lengths in mixes(rng, c.slices, unit.room, count).items():
            mismatches = unit.sram(lengths, again=True)
            figure = unit.figure(f"SRAM, {name}, query after slot", count, mismatches, note=f"{c.slots} slots")
            figure.latency = figure.stated_latency = None   # the query is late
            figures.append(figure)
    return figures
