"""Random jobs for the benches of Prob×V: gangs, their probabilities and V rows; and their outputs in numpy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.stream.job_layouts import STRIDE_BITS

_SHARED = {"max_heads": 8, "axi_data_bits": 32, "axi_addr_bits": 20, "reads": 8, "pool_beats": 32}

#: One slice and chunk; two slices on a channel, chunks not a power of two, large groups; four slices, two channels.
CONFIGS: dict[str, SpAttenConfig] = {
    "one": SpAttenConfig(multipliers=4, chunk=4, max_dim=4, operand_bits=8, max_tokens=32, sram_tokens=16, slots=4,
                         max_group=3, topk_lanes=1, channels=1, **_SHARED),
    # One slice with so many sums that they are not local.
    "many": SpAttenConfig(multipliers=4, chunk=4, max_dim=16, operand_bits=8, max_tokens=32, sram_tokens=32, slots=4,
                          max_group=3, topk_lanes=1, channels=1, **_SHARED),
    "two": SpAttenConfig(multipliers=16, chunk=8, max_dim=24, operand_bits=12, max_tokens=32, sram_tokens=32, slots=8,
                         max_group=8, topk_lanes=2, channels=1, **_SHARED),
    "four": SpAttenConfig(multipliers=16, chunk=4, max_dim=16, operand_bits=6, max_tokens=64, sram_tokens=32, slots=4,
                          max_group=1, topk_lanes=4, channels=2, **_SHARED),
}


@dataclass
class Gang:
    """Items first …; `probs`, `kept` [members, rows, S], `refetched` [members]."""

    first: int
    kv_head: int
    half: int
    probs: np.ndarray
    kept: np.ndarray
    refetched: np.ndarray
    heads: np.ndarray
    queries: np.ndarray

    @property
    def members(self) -> int:
        return len(self.probs)

    @property
    def rows(self) -> int:
        return self.probs.shape[1]


@dataclass
class Job:
    """`msb` (on-chip operands) and `lsb` [kv_head or half, S, rows, D] by slice and row; `order`: (gang, member) of
    each vector; `after`: outputs (items) that must be there before."""

    c: SpAttenConfig
    chunks: int
    has_lsb: bool
    stream: bool
    gangs: list[Gang]
    msb: np.ndarray
    lsb: np.ndarray
    lists: np.ndarray  # [class, row]
    order: list[tuple[int, int]] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    planes: dict = field(default_factory=dict)

    @property
    def walked(self) -> list[Gang]:
        """Gangs in the order in which they are complete."""
        ends = {g: at for at, (g, _) in enumerate(self.order)}
        return [self.gangs[g] for g in sorted(ends, key=ends.__getitem__)]

    def expected(self) -> np.ndarray:
        """[items, D]"""
        out = []
        for g in self.walked:
            at = g.kv_head if self.stream else g.half
            for i in range(g.members):
                low = self.lsb if g.refetched[i] else np.full_like(self.lsb, 8)
                v = (self.msb + low if self.has_lsb else self.msb)[at][:, :g.rows]
                out.append(np.einsum("rs,srd->d", g.probs[i] * g.kept[i], v))
        return np.array(out)

    def requests(self, s: int) -> list[dict]:
        """Reads of slice s, in order."""
        out = []
        for g in self.walked:
            b = (s - g.kv_head) % self.c.slices
            for r in range(g.rows):
                members = sum(1 << i for i in range(g.members) if g.kept[i, r, s])
                refetched = sum(1 << i for i in range(g.members) if g.refetched[i])
                for lsb in (0, 1):
                    who = members & refetched if lsb else members
                    if who and (not lsb or self.has_lsb):
                        out.append({"gang": g, "row": r, "lsb": lsb, "members": who, "refetched": refetched,
                                    "sum": g.sum, "token": int(self.lists[b, r]) * self.c.slices_per_channel
                                    + b // self.c.channels})
        return out


def some_vectors(rng: np.random.Generator, c: SpAttenConfig, stream_: bool, sizes: list[int], rows: list[int],
                 chunks: int, has_lsb: bool, keep: float, first: int = 0, total: int = 0) -> Job:
    """Gangs of `sizes` members and `rows` rows each; items from `first`, sums from `total` on."""
    top, dim = 1 << (c.operand_bits - 1), chunks * c.chunk
    kinds = c.max_heads if stream_ else 2
    shape = (kinds, c.slices, c.max_rows, dim)
    msb = rng.choice([-top, top - 1], shape) if rng.random() < 0.2 else rng.integers(-top, top, shape)
    if has_lsb:
        msb = msb & -16
    lists = np.array([np.sort(rng.choice(1 << c.row_bits, c.max_rows, replace=False)) for _ in range(c.slices)])
    gangs = []
    for size, n in zip(sizes, rows, strict=True):
        most = (1 << 12) + c.max_tokens
        probs = rng.integers(0, min(1 << 12, 2 * most // (n * c.slices) + 1), (size, n, c.slices))
        while (probs.sum(axis=(1, 2)) > most).any():
            probs //= 2
        g = Gang(first, int(rng.integers(c.max_heads)), int(rng.integers(2)), probs, rng.random(probs.shape) < keep,
                 rng.random(size) < 0.5 * has_lsb, rng.integers(0, c.max_heads, size),
                 rng.integers(0, c.max_tokens, size))
        gangs.append(g)
        first = (first + size) % c.items
    job = Job(c, chunks, has_lsb, stream_, gangs, msb, rng.integers(0, 16, shape), lists)
    # Batches of half the items: a batch's numbers come again two batches later.
    batch, batches = [], [[]]
    for n, g in enumerate(gangs):
        if sum(gangs[k].members for k in batch) + g.members > c.items // 2:
            batches.append(batch := [])
        elif batches[-1] is not batch:
            batches[-1] = batch
        batch.append(n)
    done = [0]
    for k, batch in enumerate(batches):
        vectors = [(n, i) for n in batch for i in range(gangs[n].members)]
        job.order += [vectors[at] for at in rng.permutation(len(vectors))]
        job.after += [done[max(0, k - 1)]] * len(vectors)
        done.append(done[-1] + len(vectors))
    batch_of = {id(gangs[n]): k for k, batch in enumerate(batches) for n in batch}
    part = used = last_batch = 0
    for g in job.walked:
        used += g.members
        if used > c.sums or batch_of[id(g)] != last_batch:
            part, used = part + 1, g.members
        g.part, g.sum, last_batch = part, total, batch_of[id(g)]
        total = (total + g.members) % c.sums
    job.end = first, total
    job.planes = {"base": [int(x) for x in rng.integers(0, 1 << c.axi_addr_bits, 2)],
                  "head_stride": [int(x) for x in rng.integers(0, 1 << min(32, c.axi_addr_bits), 2)],
                  "token_stride": [int(x) for x in rng.integers(0, 1 << STRIDE_BITS, 2)],
                  "beats": [int(x) for x in rng.integers(1, c.max_row_beats + 1, 2)]}
    return job
