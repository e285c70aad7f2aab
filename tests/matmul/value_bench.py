"""Prob×V as a whole, gather, slices and output tree, with what memory and the lists answer."""

from __future__ import annotations

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
from spatten_hw.stream.layouts import acc_chunk, kept_row
from spatten_hw.stream.read_layouts import ReadKind, operand_chunk, read_request, shared_note, value_note

from .value_jobs import Job


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
