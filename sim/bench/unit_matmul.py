"""Q×K and Prob×V by themselves: rates over mixes of vector lengths, and what uneven slices cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.lib import data

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.matmul.prob_value import ProbValueUnit, prob_value_latency
from spatten_hw.matmul.score import ScoreSlice, score_latency, stream_latency
from spatten_hw.matmul.value_layouts import chunk_words
from spatten_hw.sim.golden.prob_value import prob_value
from spatten_hw.sim.golden.score import scores
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import Progress
from spatten_hw.sim.harness.payload import Elements, pack
from spatten_hw.stream.layouts import kept_row
from spatten_hw.stream.read_layouts import ReadKind, key_note, operand_chunk, shared_note, value_note

from .blocks import Figure, compare, mixes, rows_of, span

#: (n, k) whose kept positions are drawn at random.
RANDOM_POSITIONS = ((1024, 512), (384, 192), (384, 77), (128, 64), (102, 20))
#: Longest vector from memory.
LONGEST_STREAMED = 200


def operands(c: SpAttenConfig, rng: np.random.Generator, *shape: int) -> np.ndarray:
    top = 1 << (c.operand_bits - 1)
    return rng.integers(-top, top, shape)


def operand_chunks(c: SpAttenConfig, layout: data.StructLayout, rows: np.ndarray, **note: np.ndarray | int
                   ) -> np.ndarray:
    """Packed `operand_chunk`s of `rows` [n, D]; fields of the note are integers, or one per row."""
    chunks = rows.shape[1] // c.chunk
    number = np.tile(np.arange(chunks), len(rows))
    bits = rows.reshape(-1, c.chunk) & ((1 << c.operand_bits) - 1)
    columns: dict[str, Any] = {name: np.repeat(np.broadcast_to(value, len(rows)), chunks)
                               for name, value in note.items() if data.Layout.cast(layout)[name].width}
    return pack(operand_chunk(c, layout), {
        "data": Elements(bits, c.operand_bits), "chunk": number, "last": (number == chunks - 1).astype(int),
        "note": columns})


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray | list[int]:
    return np.concatenate(parts) if len(parts) else []


# -- Q×K -----------------------------------------------------------------------------------------------------------

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
        self.block.send("shared", _joined([*fills, self._q(slots)]))
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


# -- Prob×V --------------------------------------------------------------------------------------------------------

class _ProbValue:
    """All slices at one D, both SRAM halves filled; vectors of probabilities in, sums out."""

    def __init__(self, block: Block, dim: int, rng: np.random.Generator):
        c = self.c = block.component.config  # type: ignore[attr-defined]
        self.block, self.dim, self.chunks, self.rng = block, dim, dim // c.chunk, rng
        self.items = 0  # so far: place in the rings of items and of sums
        block.reset()
        block.set(job={"chunks": self.chunks, "v_msb": c.operand_bits}, values_ready=3)
        block.idle(4)
        self.room = min(c.max_tokens, c.sram_words // self.chunks * c.slices)
        self.values = [operands(c, rng, self.room, dim) for _ in (0, 1)]
        p = np.arange(self.room)
        fills = [operand_chunks(c, shared_note(c), v, kind=ReadKind.VALUE.value, half=half, slice=p % c.slices,
                                index=p // c.slices) for half, v in enumerate(self.values)]
        ports = [f"shared__{s}" for s in range(c.slices)]
        for port in ports:
            block.send(port, _joined(fills))
        block.run(10 + 2 * self.room * self.chunks, **dict.fromkeys(ports, 2 * self.room * self.chunks))
        block.idle(10)

    def run(self, kept: Sequence[np.ndarray], stream: bool) -> list[str]:
        """Gangs with `kept` keys, bool [members, n] each, back to back; V from SRAM (halves in turn) or memory."""
        c, block = self.c, self.block
        gang = len(kept[0])
        probs = [_probabilities(self.rng, *k.shape) for k in kept]
        values = [operands(c, self.rng, k.shape[1], self.dim) if stream else self.values[at % 2][:k.shape[1]]
                  for at, k in enumerate(kept)]
        self._send_kept(kept, probs, stream)
        for s in range(c.slices if stream else 0):
            self._send_rows(s, kept, values)
        block.receive("o")
        outputs = len(kept) * gang * self.chunks
        block.run(1000 + 20 * sum(k.size for k in kept) * self.chunks + 200 * outputs, o=outputs)
        block.idle(4)
        got = block.taken("o").columns()
        want = np.concatenate([prob_value(p, k, v) for p, k, v in zip(probs, kept, values, strict=True)])
        mismatches: list[str] = []
        compare("acc", got["acc"].reshape(-1, self.dim), want, mismatches)
        item = (self.items + np.repeat(np.arange(len(kept) * gang), self.chunks)) % c.items
        compare("item", got["tag"]["item"], item, mismatches)
        self.items += len(kept) * gang
        return mismatches

    def _send_kept(self, kept: Sequence[np.ndarray], probs: Sequence[np.ndarray], stream: bool) -> None:
        """Vectors whose item is free: the gang that had it has left."""
        c, gang = self.c, len(kept[0])
        number = np.arange(len(kept) * gang)
        rows = rows_of([p for of in probs for p in of], c.slices)
        bits = rows_of([k.astype(np.int64) for of in kept for k in of], c.slices).values @ (1 << np.arange(c.slices))
        freed = np.maximum((number - c.items) // gang + 1, 0) * gang * self.chunks
        tag = {"head": number % c.max_heads, "half": number // gang % 2, "stream": np.full(len(number), int(stream)),
               "item": (self.items + number) % c.items, "first": (self.items + number // gang * gang) % c.items,
               "gang": np.full(len(number), gang)}
        self.block.send("kept", pack(kept_row(c), {
            "probs": rows.values, "kept": bits, "row": rows.row, "last": rows.last,
            "tag": {name: values[rows.vector] for name, values in tag.items()}}), after=("o", freed[rows.vector]))

    def _send_rows(self, s: int, kept: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> None:
        """The V rows of slice `s`, each when it was asked for."""
        c, gang = self.c, len(kept[0])
        self.block.receive(f"reads__{s}")
        rows, notes = [], []
        for at, (k, v) in enumerate(zip(kept, values, strict=True)):
            mine = k[:, s::c.slices]
            row = np.flatnonzero(mine.any(axis=0))
            first = self.items + at * gang
            rows.append(v[s::c.slices][row])
            members = (1 << np.arange(gang)) @ mine[:, row]
            notes.append(np.stack([row, members, np.full(len(row), first % c.items),
                                   np.full(len(row), first % c.sums)]))
        row, members, item, total = np.concatenate(notes, axis=1)
        if not len(row):
            self.block.send(f"v_chunks__{s}", [])
            return
        chunks = operand_chunks(c, value_note(c), np.concatenate(rows), slice=s // c.channels, item=item, sum=total,
                                members=members, row=row)
        self.block.send(f"v_chunks__{s}", chunks,
                        after=(f"reads__{s}", np.repeat(np.arange(len(row)) + 1, self.chunks)))

    def bound(self, kept: np.ndarray) -> int:
        """Least cycles of a gang: the products of its fullest slice, its rows, or the words of its sums. Local sums are
        read in place of a product."""
        gang, n = kept.shape
        products = max(int(kept[:, s::self.c.slices].sum()) for s in range(self.c.slices))
        words = self.chunks * chunk_words(self.c, self.chunks)
        reads = gang * words if self.c.local_sums else 0
        return max(products * self.chunks + reads, gang * -(-n // self.c.slices), gang * words + 2)

    def figure(self, case: str, kept: Sequence[np.ndarray], mismatches: list[str], latency: bool = False) -> Figure:
        """Times run from the last chunk of the first gang to that of the last gang. What is stated is what multipliers,
        walk and tree allow; short vectors also wait for sums."""
        out = self.block.taken("o")
        gang = len(kept[0])
        cycles, stated = int(out.cycles[-1] - out.cycles[gang * self.chunks - 1]), sum(map(self.bound, kept[1:]))
        took = int(out.cycles[0] - self.block.taken("kept").cycles[0]) if latency else None
        return Figure("Prob×V", f"D={self.dim}, {case}", len(kept) * gang, cycles, stated, cycles - stated, took,
                      prob_value_latency(self.c, self.chunks) if latency else None, f"{self.c.sums} sums",
                      [f"Prob×V, D={self.dim}, {case}: {m}" for m in mismatches])


def _probabilities(rng: np.random.Generator, members: int, n: int) -> np.ndarray:
    p = rng.random((members, n)) ** 4
    exact = p / p.sum(axis=1, keepdims=True) * (1 << PROB_BITS)
    return np.minimum((1 << PROB_BITS) - 1, np.rint(exact)).astype(np.int64)


def prob_times_value(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """Prob×V: `count` vectors per mix with all keys kept, V from SRAM and from memory, then random positions."""
    block = Block(ProbValueUnit, c, progress=progress)
    figures = []
    for dim in c.dims:
        unit = _ProbValue(block, dim, rng)
        for name, lengths in mixes(rng, c.slices, unit.room, count).items():
            kept = [np.ones((1, n), dtype=bool) for n in lengths]
            figures.append(unit.figure(f"SRAM, {name}", kept, unit.run(kept, False), latency=name == "n = 1"))
        lengths = mixes(rng, c.slices, min(c.max_tokens, LONGEST_STREAMED), count)["mixed"]
        for gang in sorted({1, c.max_group}):
            kept = [np.ones((gang, n), dtype=bool) for n in lengths]
            figures.append(unit.figure(f"streamed, gangs of {gang}", kept, unit.run(kept, True)))
        for n, k in RANDOM_POSITIONS:
            if n <= unit.room:
                kept = [rng.permutation(n)[None] < k for _ in range(count)]
                figure = unit.figure(f"SRAM, random {k} of {n}", kept, unit.run(kept, False))
                even = max(-(-k // c.slices) * unit.chunks, -(-n // c.slices))
                over = 100 * (figure.cycles / (even * (count - 1)) - 1)
                figure.note = f"{over:.1f} % over even slices, {even} cycles"
                figures.append(figure)
    return figures
