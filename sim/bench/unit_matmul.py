"""Q×K and Prob×V by themselves: rates over mixes of vector lengths, and what lane conflicts cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.matmul.prob_value import ProbValueUnit, prob_value_latency
from spatten_hw.matmul.score import ScoreUnit, score_latency
from spatten_hw.sim.golden.prob_value import prob_value
from spatten_hw.sim.golden.score import scores
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import Progress
from spatten_hw.sim.harness.payload import Elements, pack
from spatten_hw.stream.layouts import kept_row, operand_row, tag_layout

from .blocks import Figure, compare, mixes, rows_of, span

#: (n, k) whose kept positions are drawn at random.
RANDOM_POSITIONS = ((1024, 512), (384, 192), (384, 77), (128, 64), (102, 20))


def operands(c: SpAttenConfig, rng: np.random.Generator, *shape: int) -> np.ndarray:
    top = 1 << (c.operand_bits - 1)
    return rng.integers(-top, top, shape)


def operand_rows(c: SpAttenConfig, matrix: np.ndarray, fill: int, half: int) -> np.ndarray:
    """Packed `operand_row`s of the rows of `matrix` [n, D]."""
    n, dim = matrix.shape
    r = c.rows_per_cycle(dim)
    groups = -(-n // r)
    padded = np.zeros((groups * r, dim), dtype=np.int64)
    padded[:n] = matrix
    first = np.arange(groups) * r
    return pack(operand_row(c), {
        "slices": Elements(padded.reshape(groups, -1), c.operand_bits), "count": np.minimum(r, n - first),
        "last": (first + r >= n).astype(int), "fill": fill, "half": half})


def tags(c: SpAttenConfig, **columns: np.ndarray | int) -> np.ndarray:
    """Tags as integers."""
    packed = pack(tag_layout(c), columns)
    return np.array([int.from_bytes(row.tobytes(), "little") for row in packed])


# -- Q×K -----------------------------------------------------------------------------------------------------------

class _Score:
    """The unit at one D, both SRAM halves filled, every slot with a query."""

    def __init__(self, block: Block, dim: int, rng: np.random.Generator):
        c = self.c = block.component.config  # type: ignore[attr-defined]
        self.block, self.dim, self.r = block, dim, c.rows_per_cycle(dim)
        block.reset()
        block.set(job={"dim_log2": (dim // c.min_dim).bit_length() - 1})
        room = min(c.max_tokens, c.sram_rows * self.r)
        self.keys = [operands(c, rng, room, dim) for _ in (0, 1)]
        self.queries = operands(c, rng, c.slots, dim)
        fills = [operand_rows(c, k, 1, half) for half, k in enumerate(self.keys)]
        block.send("k_rows", np.concatenate(fills))
        block.run(10 + sum(map(len, fills)), k_rows=sum(map(len, fills)))
        self.q_after(np.arange(c.slots), None)
        self.run([1] * c.slots, replay=0)  # takes the queries in; what follows uses them again

    def q_after(self, slots: np.ndarray, counts: np.ndarray | None) -> None:
        """Queries for `slots`, each when `o` has moved as many rows as `counts` says."""
        row = Elements(self.queries[slots], self.c.operand_bits)
        self.block.send("q_rows", {"row": row, "slot": slots}, after=None if counts is None else ("o", counts))

    def run(self, lengths: Sequence[int], *, replay: int = 1, gang: int = 1, stream: Sequence[np.ndarray] = ()
            ) -> list[str]:
        """Commands of `lengths` back to back, on SRAM (halves in turn) or on `stream`ed keys; differences from the
        golden model. Commands that are no replays use the slots in ring order."""
        c, block, r = self.c, self.block, self.r
        number = np.arange(len(lengths))
        first = number * gang % c.slots
        block.receive("o")
        block.send("k_rows", np.concatenate([operand_rows(c, k, 0, 0) for k in stream]) if stream else [])
        block.send("cmd", {"slot": first, "gang": gang, "keys": np.array(lengths), "stream": int(bool(stream)),
                           "half": number % 2, "replay": replay})
        exact, slots, rows = [], [], []
        for at, n in enumerate(lengths):
            members = (first[at] + np.arange(gang)) % c.slots
            keys = stream[at] if stream else self.keys[at % 2][:n]
            of_member = scores(self.queries[members], keys)
            for row in range(-(-n // r)):
                exact += list(of_member[:, row * r:(row + 1) * r])
                slots += members.tolist()
                rows += [row] * gang
        want = rows_of(exact, c.lanes)
        block.run(200 + 30 * len(want), o=len(want))
        got = block.taken("o").columns()
        live = np.arange(c.lanes) < want.count[:, None]
        mismatches: list[str] = []
        compare("scores", np.where(live, got["scores"], 0), want.values, mismatches)
        for name, values in (("count", want.count), ("slot", slots), ("row", rows)):
            compare(name, got[name], np.array(values), mismatches)
        return mismatches

    def figure(self, case: str, items: int, mismatches: list[str], note: str = "") -> Figure:
        out = self.block.taken("o")
        latency = int(out.cycles[0] - self.block.taken("cmd").cycles[0])
        return Figure("Q×K", f"D={self.dim}, {case}", items, span(out), out.fired, out.bubbles, latency,
                      score_latency(self.c), note, [f"Q×K, D={self.dim}, {case}: {m}" for m in mismatches])


def score(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """Q×K: `count` commands per mix from SRAM and from the K stream, queries there; then with queries that wait for
    their slots' scores, as the ring of slots has it."""
    block = Block(ScoreUnit, c, progress=progress)
    figures = []
    for dim in c.dims:
        unit = _Score(block, dim, rng)
        room = len(unit.keys[0])
        for name, lengths in mixes(rng, unit.r, room, count).items():
            figures.append(unit.figure(f"SRAM, {name}", count, unit.run(lengths)))
        gang = min(c.max_group, c.slots)
        lengths = mixes(rng, unit.r, min(room, 200), count)["mixed"]
        streamed = [operands(c, rng, n, dim) for n in lengths]
        for size in sorted({1, gang}):
            mismatches = unit.run(lengths, gang=size, stream=streamed)
            figures.append(unit.figure(f"streamed, gangs of {size}", size * count, mismatches))
        for name, lengths in mixes(rng, unit.r, room, count).items():
            # The query of a command is sent when its slot's last scores are out.
            done = np.cumsum([-(-n // unit.r) for n in lengths])
            slots = np.arange(count) % c.slots
            unit.queries = operands(c, rng, c.slots, dim)
            unit.q_after(slots, np.concatenate([np.zeros(c.slots, dtype=np.int64), done])[:count])
            figures.append(unit.figure(f"SRAM, {name}, query after slot", count, unit.run(lengths, replay=0),
                                       f"{c.slots} slots"))
    return figures


# -- Prob×V --------------------------------------------------------------------------------------------------------

class _ProbValue:
    """The unit at one D, both SRAM halves filled."""

    def __init__(self, block: Block, dim: int, rng: np.random.Generator):
        c = self.c = block.component.config  # type: ignore[attr-defined]
        self.block, self.dim, self.r, self.rng = block, dim, c.rows_per_cycle(dim), rng
        block.reset()
        block.set(job={"dim_log2": (dim // c.min_dim).bit_length() - 1})
        room = min(c.max_tokens, c.sram_rows * self.r)
        self.values = [operands(c, rng, room, dim) for _ in (0, 1)]
        fills = [operand_rows(c, v, 1, half) for half, v in enumerate(self.values)]
        block.send("v_rows", np.concatenate(fills))
        block.run(10 + sum(map(len, fills)), v_rows=sum(map(len, fills)))

    def run(self, positions: Sequence[np.ndarray], stream: bool) -> list[str]:
        """Vectors of kept `positions` back to back, V from SRAM (halves in turn) or streamed; differences."""
        c, block, rng = self.c, self.block, self.rng
        number = np.arange(len(positions))
        probs = [_probabilities(rng, len(p)) for p in positions]
        keys, payloads = rows_of(probs, c.topk_lanes), rows_of(positions, c.topk_lanes)
        tag = tags(c, head=number % c.max_heads, half=number % 2, stream_v=int(stream))
        block.receive("o")
        values = [operands(c, rng, len(p), self.dim) for p in positions] if stream else [
            self.values[at % 2][p] for at, p in enumerate(positions)]
        block.send("v_rows", np.concatenate([operand_rows(c, v, 0, 0) for v in values]) if stream else [])
        block.send("kept", pack(kept_row(c), {"keys": keys.values, "payloads": payloads.values, "count": keys.count,
                                              "last": keys.last, "tag": tag[keys.vector]}))
        block.run(400 + 4 * sum(len(p) for p in positions), o=len(positions))
        got = block.taken("o").columns()
        want = [prob_value(p[None], np.ones((1, len(p)), dtype=bool), v)[0]
                for p, v in zip(probs, values, strict=True)]
        mismatches: list[str] = []
        compare("acc", got["acc"][:, :self.dim], np.array(want), mismatches)
        compare("head", got["tag"]["head"], number % c.max_heads, mismatches)
        return mismatches

    def figure(self, case: str, loads: Sequence[int], mismatches: list[str], note: str = "",
               latency: bool = False) -> Figure:
        """`loads`: stated cycles of every vector. Times run from the first vector's sums to the last's."""
        out = self.block.taken("o")
        cycles, stated = int(out.cycles[-1] - out.cycles[0]), sum(loads[1:])
        took = int(out.cycles[0] - self.block.taken("kept").cycles[0]) if latency else None
        return Figure("Prob×V", f"D={self.dim}, {case}", len(loads), cycles, stated, cycles - stated, took,
                      prob_value_latency(self.c) if latency else None, note,
                      [f"Prob×V, D={self.dim}, {case}: {m}" for m in mismatches])


def _probabilities(rng: np.random.Generator, n: int) -> np.ndarray:
    p = rng.random(n) ** 4
    return np.minimum((1 << PROB_BITS) - 1, np.rint((p / p.sum()) * (1 << PROB_BITS))).astype(np.int64)


def prob_times_value(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """Prob×V: `count` vectors per mix of streamed and of consecutive buffered values, then random positions."""
    block = Block(ProbValueUnit, c, progress=progress)
    figures = []
    for dim in c.dims:
        unit = _ProbValue(block, dim, rng)
        r, room = unit.r, len(unit.values[0])

        def rows(k: int, r: int = r) -> int:
            return max(2, -(-k // r))   # a row of sums that ends right after another waits for a cycle

        for stream in (True, False):
            for name, lengths in mixes(rng, r, room, count).items():
                mismatches = unit.run([np.arange(k) for k in lengths], stream)
                case = f"{'streamed' if stream else 'SRAM, consecutive'}, {name}"
                figures.append(unit.figure(case, [rows(k) for k in lengths], mismatches, latency=name == "n = 1"))
        for n, k in RANDOM_POSITIONS:
            if n > room:
                continue
            positions = [np.sort(rng.choice(n, k, replace=False)) for _ in range(count)]
            mismatches = unit.run(positions, False)
            loads = [max(2, int(np.bincount(p % r, minlength=r).max())) for p in positions]
            f = unit.figure(f"SRAM, random {k} of {n}", loads, mismatches)
            f.note = f"{100 * (f.cycles / (rows(k) * (count - 1)) - 1):.1f} % over ceil(k/R) = {rows(k)}"
            figures.append(f)
    return figures
