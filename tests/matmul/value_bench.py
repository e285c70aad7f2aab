"""Prob×V as a whole, gather, slices and output tree, with what memory and the lists answer; and the numpy twin."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from amaranth import Module, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.config import SpAttenConfig
from spatten_hw.matmul.gang import GangGather
from spatten_hw.matmul.output_tree import OutputTree
from spatten_hw.matmul.value import ValueSlice
from spatten_hw.matmul.value_layouts import planes
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import Elements, pack
from spatten_hw.stream.job_layouts import STRIDE_BITS
from spatten_hw.stream.layouts import (
    ReadKind,
    acc_chunk,
    kept_row,
    operand_chunk,
    read_request,
    shared_note,
    value_note,
)

_SHARED = {"max_heads": 8, "axi_data_bits": 32, "axi_addr_bits": 20, "reads": 8, "pool_beats": 32}

#: One slice and chunk; two slices on a channel, chunks not a power of two, large groups; four slices, two channels.
CONFIGS: dict[str, SpAttenConfig] = {
    "one": SpAttenConfig(multipliers=4, chunk=4, max_dim=4, operand_bits=8, max_tokens=32, sram_tokens=16, slots=4,
                         max_group=3, topk_lanes=1, channels=1, **_SHARED),
    "two": SpAttenConfig(multipliers=16, chunk=8, max_dim=24, operand_bits=12, max_tokens=32, sram_tokens=32, slots=8,
                         max_group=8, topk_lanes=2, channels=1, **_SHARED),
    "four": SpAttenConfig(multipliers=16, chunk=4, max_dim=16, operand_bits=6, max_tokens=64, sram_tokens=32, slots=4,
                          max_group=1, topk_lanes=4, channels=2, **_SHARED),
}


class ProbValue(wiring.Component):
    """A gather, S slices, an output tree."""

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "chunks": In(c.chunk_count_bits), "has_lsb": In(1), "half_filled": In(2),
            "base": In(planes(c.axi_addr_bits)), "head_stride": In(planes(min(32, c.axi_addr_bits))),
            "token_stride": In(planes(STRIDE_BITS)), "beats": In(planes(c.beats_bits)),
            "kept": In(stream.Signature(kept_row(c))),
            "list_row": Out(c.row_bits), "list_indexes": In(data.ArrayLayout(unsigned(c.row_bits), c.slices)),
            "reads": Out(stream.Signature(read_request(c, value_note(c)))).array(c.slices),
            "v_chunks": In(stream.Signature(operand_chunk(c, value_note(c)))).array(c.slices),
            "shared": In(stream.Signature(operand_chunk(c, shared_note(c)))),
            "o": Out(stream.Signature(acc_chunk(c))),
            "busy": Out(1), "multiplying": Out(1), "stall": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.gather = gather = GangGather(c)
        m.submodules.tree = tree = OutputTree(c)
        wiring.connect(m, wiring.flipped(self.kept), gather.kept)
        wiring.connect(m, gather.gangs, tree.gangs)
        wiring.connect(m, tree.o, wiring.flipped(self.o))
        m.d.comb += [
            gather.half_filled.eq(self.half_filled), self.list_row.eq(gather.list_row),
            gather.list_indexes.eq(self.list_indexes), gather.freed.eq(tree.freed), gather.tag_item.eq(tree.tag_item),
            tree.tag.eq(gather.tag), tree.chunks.eq(self.chunks), self.shared.ready.eq(1),
        ]
        busy, stalls = gather.busy | tree.busy, 0
        for s in range(c.slices):
            m.submodules[f"slice{s}"] = slice_ = ValueSlice(c)
            wiring.connect(m, gather.entries[s], slice_.entries)
            wiring.connect(m, slice_.reads, wiring.flipped(self.reads[s]))
            wiring.connect(m, wiring.flipped(self.v_chunks[s]), slice_.v_chunks)
            m.d.comb += [
                slice_.number.eq(s), slice_.chunks.eq(self.chunks), slice_.has_lsb.eq(self.has_lsb),
                *(getattr(slice_, n).eq(getattr(self, n)) for n in ("base", "head_stride", "token_stride", "beats")),
                slice_.write.valid.eq(gather.write.valid), slice_.write.item.eq(gather.write.item),
                slice_.write.row.eq(gather.write.row), slice_.write.prob.eq(gather.write.probs[s]),
                slice_.shared.valid.eq(self.shared.valid), slice_.shared.payload.eq(self.shared.payload),
                tree.finished[s].eq(slice_.finished), slice_.drain.eq(tree.drain), tree.partial[s].eq(slice_.partial),
            ]
            busy, stalls = busy | slice_.busy, stalls | slice_.stall
        m.d.comb += [self.busy.eq(busy), self.stall.eq(stalls)]
        return m


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


def set_lists(block: Block, job: Job) -> None:
    c = job.c
    ints = [sum(int(job.lists[b, min(r, c.max_rows - 1)]) << (b * c.row_bits) for b in range(c.slices))
            for r in range(1 << c.row_bits)]
    block.lookup("list_row", "list_indexes", ints)


def prepare(block: Block, job: Job) -> None:
    """Plain ports, lists; prompts: V into the SRAM."""
    c = job.c
    block.set(chunks=job.chunks, has_lsb=int(job.has_lsb), half_filled=0 if not job.stream else 3,
              **{name: values[0] | values[1] << bits for (name, values), bits in zip(job.planes.items(), (
                  c.axi_addr_bits, min(32, c.axi_addr_bits), STRIDE_BITS, c.beats_bits), strict=True)})
    set_lists(block, job)
    if not job.stream:
        send_fills(block, job)
        block.set(half_filled=3)


def send_fills(block: Block, job: Job) -> None:
    c = job.c
    rows = min(c.max_rows, c.sram_words // job.chunks)
    fills = [(lsb, half, s, r, j) for lsb in range(1 + job.has_lsb) for half in range(2) for s in range(c.slices)
             for r in range(rows) for j in range(job.chunks)]
    lsb, half, s, r, j = np.array(fills).T
    cut = [(job.lsb if n[0] else job.msb)[n[1], n[2], n[3], n[4] * c.chunk:(n[4] + 1) * c.chunk] for n in fills]
    kind = np.where(lsb, ReadKind.VALUE_LSB.value, ReadKind.VALUE.value)
    note = {"kind": kind, "half": half, "index": r}
    if c.slices > 1:
        note["slice"] = s
    block.send("shared", pack(operand_chunk(c, shared_note(c)), {
        "data": Elements(np.array(cut), c.operand_bits), "chunk": j, "last": j == job.chunks - 1, "note": note}))
    block.run(2 * len(fills) + 10, shared=len(fills))
    block.idle(5)


def send_kept(block: Block, job: Job, stall: float, seed: int, wait: bool = True) -> None:
    """All vectors in order; `wait`: as soon as their items are free."""
    c = job.c
    columns: dict[str, list] = {k: [] for k in ("probs", "kept", "row", "last", "after", "head", "kv_head", "query",
                                                 "half", "refetched", "item", "first", "gang")}
    for (n, i), after in zip(job.order, job.after, strict=True):
        g = job.gangs[n]
        for r in range(g.rows):
            values = {"probs": g.probs[i, r], "kept": sum(1 << s for s in range(c.slices) if g.kept[i, r, s]),
                      "row": r, "last": r == g.rows - 1, "after": after * job.chunks, "head": g.heads[i],
                      "kv_head": g.kv_head, "query": g.queries[i], "half": g.half, "refetched": g.refetched[i],
                      "item": (g.first + i) % c.items, "first": g.first, "gang": g.members}
            for name, value in values.items():
                columns[name].append(value)
    a = {k: np.array(v) for k, v in columns.items()}
    tag = {k: a[k] for k in ("head", "kv_head", "query", "half", "refetched", "item", "first", "gang")}
    block.send("kept", pack(kept_row(c), {
        "probs": a["probs"], "kept": a["kept"], "row": a["row"], "last": a["last"],
        "tag": tag | {"stream": np.full(len(a["row"]), int(job.stream))}}),
        after=("o", a["after"]) if wait else None, stall=stall, seed=seed)


def send_rows(block: Block, job: Job, rng: np.random.Generator, stall: float, window: int) -> list[list[dict]]:
    """V rows answer the requests of every slice, in an order that is random within `window` of them."""
    c, asked = job.c, []
    for s in range(c.slices):
        requests = job.requests(s)
        asked.append(requests)
        # A row is never answered before one whose gang must give back its items or sums before it is asked for.
        part = [q["gang"].part for q in requests]
        order = np.lexsort((np.arange(len(requests)) + window * rng.random(len(requests)), part))
        rows = [(n, requests[n], j) for n in order for j in range(job.chunks)]
        if not rows:
            continue
        cut = [(job.lsb if q["lsb"] else job.msb)[q["gang"].kv_head, s, q["row"], j * c.chunk:(j + 1) * c.chunk]
               for _, q, j in rows]
        block.send(f"v_chunks__{s}", pack(operand_chunk(c, value_note(c)), {
            "data": Elements(np.array(cut), c.operand_bits), "chunk": np.array([j for *_, j in rows]),
            "last": np.array([j == job.chunks - 1 for *_, j in rows]), "note": _note(c, s, [q for _, q, _ in rows])}),
            after=(f"reads__{s}", np.array([n + 1 for n, *_ in rows])), stall=stall, seed=int(rng.integers(1, 1000)))
    return asked


def _note(c: SpAttenConfig, s: int, requests: list[dict]) -> dict[str, np.ndarray]:
    note = {k: np.array([int(q[k]) for q in requests]) for k in ("sum", "members", "refetched", "row", "lsb")}
    note["item"] = np.array([q["gang"].first for q in requests])
    if c.slices_per_channel > 1:
        note["slice"] = np.full(len(requests), s // c.channels)
    return note


def check(block: Block, job: Job) -> None:
    """Outputs, requests."""
    c = job.c
    out, want = block.taken("o").columns(), job.expected()
    assert np.array_equal(out["acc"].reshape(want.shape), want)
    assert np.array_equal(out["chunk"], np.tile(np.arange(job.chunks), len(want)))
    assert np.array_equal(out["last"], out["chunk"] == job.chunks - 1)
    items = [(g, i) for g in job.walked for i in range(g.members) for _ in range(job.chunks)]
    for name, of in (("head", lambda g, i: g.heads[i]), ("query", lambda g, i: g.queries[i]),
                     ("item", lambda g, i: (g.first + i) % c.items), ("kv_head", lambda g, i: g.kv_head),
                     ("refetched", lambda g, i: g.refetched[i]), ("half", lambda g, i: g.half)):
        assert np.array_equal(out["tag"][name], [of(g, i) for g, i in items]), name
    for s in range(c.slices):
        requests = job.requests(s) if job.stream else []
        moved = block.taken(f"reads__{s}")
        assert moved.fired == len(requests)
        if requests:
            got, mask = moved.columns(), (1 << c.axi_addr_bits) - 1
            base, head, token, beats = (np.array(job.planes[n])[[q["lsb"] for q in requests]]
                                        for n in ("base", "head_stride", "token_stride", "beats"))
            address = base + head * [q["gang"].kv_head for q in requests] + token * [q["token"] for q in requests]
            assert np.array_equal(got["addr"], address & mask)
            assert np.array_equal(got["beats"], beats)
            for name, values in _note(c, s, requests).items():
                assert np.array_equal(got["note"][name], values), name
