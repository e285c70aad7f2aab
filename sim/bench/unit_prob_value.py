"""Prob×V by itself: rates over mixes of vector lengths, and what uneven slices cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.matmul.prob_value import ProbValueUnit, prob_value_latency
from spatten_hw.matmul.value_layouts import chunk_words
from spatten_hw.sim.golden.prob_value import prob_value
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import Progress
from spatten_hw.sim.harness.payload import pack
from spatten_hw.stream.layouts import kept_row
from spatten_hw.stream.read_layouts import ReadKind, shared_note, value_note

from .blocks import Figure, compare, mixes, rows_of
from .unit_operands import LONGEST_STREAMED, joined, operand_chunks, operands

#: (n, k) whose kept positions are drawn at random.
RANDOM_POSITIONS = ((1024, 512), (384, 192), (384, 77), (128, 64), (102, 20))


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
            block.send(port, joined(fills))
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
