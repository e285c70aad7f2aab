"""Requantiser, token importance and head importance by themselves."""

from __future__ import annotations

import numpy as np
from amaranth import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.config import OUT_BITS, PROB_BITS, SpAttenConfig
from spatten_hw.prune.accumulate import ADD_CYCLES
from spatten_hw.prune.head_importance import HeadImportance
from spatten_hw.prune.token_importance import FEED_CYCLES, TokenImportance
from spatten_hw.prune.token_totals import READ_CYCLES, WRITE_CYCLES, TokenTotals
from spatten_hw.sim.golden.requantise import head_sum, requantise
from spatten_hw.sim.golden.token_importance import token_importance
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import Progress
from spatten_hw.stream.layouts import prob_row
from spatten_hw.write.requantise import Requantiser, group_elements, latency

from .blocks import Figure, compare, mixes, rows_of, span


class TokenSums(wiring.Component):
    """Token importance of a prompt: rows of probabilities into the totals; `read`: those of row `index` follow
    `READ_CYCLES` later."""

    probs: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.totals_of = TokenTotals(c)
        super().__init__({
            "probs": In(stream.Signature(prob_row(c))), "read": In(1), "index": In(c.row_bits),
            "totals": Out(self.totals_of.row_layout), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.feed = feed = TokenImportance(self.config)
        m.submodules.totals = totals = self.totals_of
        wiring.connect(m, wiring.flipped(self.probs), feed.probs)
        m.d.comb += [
            totals.valid.eq(feed.valid | self.read), totals.sums.eq(1), totals.direct.eq(1),
            totals.index.eq(Mux(self.read, self.index, feed.row)), totals.row.eq(feed.row),
            totals.forward.eq(feed.valid),
            totals.write.eq(Mux(feed.valid, feed.write, 0)), totals.fresh.eq(feed.fresh & feed.valid),
            totals.probs.eq(feed.lanes), self.totals.eq(totals.totals), self.idle.eq(feed.idle & totals.idle),
        ]
        return m


def requantiser(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """`count` rows of sums per D: one group of elements per cycle."""
    block = Block(Requantiser, c, progress=progress)
    mant, shift = rng.integers(0, 1 << 17, c.max_heads), rng.integers(10, 30, c.max_heads)
    block.lookup("scale_head", "scale", {"out_mant": mant, "out_shift": shift})
    top = 1 << (c.acc_bits - 1)
    per_beat, group = c.axi_data_bits // OUT_BITS, group_elements(c)
    figures = []
    for dim in c.dims:
        block.reset()
        block.set(job={"chunks": dim // c.chunk})
        block.idle(2)   # the job holds still before the first row
        head, kv_head = (rng.integers(0, c.max_heads, count) for _ in range(2))
        acc = rng.integers(-top, top, (count, dim))
        chunks, beats, groups = dim // c.chunk, -(-dim // per_beat), dim // group
        number = np.tile(np.arange(chunks), count)
        for name in ("o", "head_sums"):
            block.receive(name)
        block.send("i", {"acc": acc.reshape(-1, c.chunk), "chunk": number, "last": (number == chunks - 1).astype(int),
                         "tag": {"head": np.repeat(head, chunks), "kv_head": np.repeat(kv_head, chunks)}})
        block.run(400 + 2 * groups * count, o=beats * count, head_sums=groups * count)
        out, sums = block.taken("o"), block.taken("head_sums")
        want = requantise(acc, mant[head][:, None], shift[head][:, None])
        # A beat's elements are the lowest bytes of its payload, which begins with the data.
        got = out.payloads[:, :c.beat_bytes].copy().view("<i2").reshape(count, -1)[:, :dim]
        mismatches: list[str] = []
        compare("out", got, want, mismatches)
        compare("last", out.columns()["last"], np.tile(np.arange(beats) == beats - 1, count), mismatches)
        compare("sum", sums.columns()["sum"], head_sum(want.reshape(-1, group)), mismatches)
        compare("kv_head", sums.columns()["kv_head"], np.repeat(kv_head, groups), mismatches)
        # The first beat may hold more than a chunk.
        more = (min(dim, per_beat) - min(c.chunk, per_beat)) // group
        figures.append(Figure("requantise", f"D={dim}", count, span(sums), groups * count, sums.bubbles,
                              int(out.cycles[0] - block.taken("i").cycles[0]), latency(c) + more,
                              mismatches=[f"requantise, D={dim}: {m}" for m in mismatches]))
    return figures


def tokens(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """Token importance: `count` vectors of probabilities per mix, one row of S per cycle, then the sums are read."""
    block = Block(TokenSums, c, progress=progress)
    figures = []
    for name, lengths in mixes(rng, c.slices, c.max_tokens, count).items():
        probs = [rng.integers(0, 1 << PROB_BITS, n) for n in lengths]
        rows = rows_of(probs, c.slices, fill=(1 << PROB_BITS) - 1)  # dead lanes must not count
        live = np.arange(c.slices) < rows.count[:, None]
        block.reset()
        block.send("probs", {"probs": rows.values, "live": live @ (1 << np.arange(c.slices)), "last": rows.last})
        block.run(100 + 2 * len(rows), probs=len(rows))
        block.idle(FEED_CYCLES + WRITE_CYCLES)
        mismatches = [] if block.get("idle") else ["not idle after all rows"]
        used = -(-max(lengths) // c.slices)
        padded = np.zeros((count, used * c.slices), dtype=np.int64)
        for at, p in enumerate(probs):
            padded[at, :len(p)] = p
        sums = []
        for row in range(used):
            block.set(read=1, index=row)
            block.idle(1)
            block.set(read=0)
            block.idle(READ_CYCLES - 1)
            sums += block.get("totals")
        compare("sums", np.array(sums), token_importance(padded), mismatches)
        taken = block.taken("probs")
        figures.append(Figure("token importance", name, count, span(taken), len(rows), taken.bubbles,
                              mismatches=[f"token importance, {name}: {m}" for m in mismatches]))
    return figures


def heads(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """Head importance: sums of random heads and of one head, one per cycle, then the totals are scanned."""
    block = Block(HeadImportance, c, progress=progress)
    figures = []
    number = 20 * count
    for name, kv_head in (("random heads", rng.integers(0, c.max_heads, number)),
                          ("one head", np.full(number, c.max_heads - 1))):
        sums = rng.integers(0, 1 << OUT_BITS, number)
        block.reset()
        block.set(clear=1)
        block.idle(1)
        block.set(clear=0)
        block.receive("totals")
        block.send("head_sums", {"kv_head": kv_head, "sum": sums})
        block.run(100 + 2 * number, head_sums=number)
        block.idle(ADD_CYCLES)
        block.set(start=1, mask=(1 << c.max_heads) - 1)
        block.idle(1)
        block.set(start=0)
        block.run(100 + 4 * c.max_heads, totals=c.max_heads)
        got = block.taken("totals").columns()
        mismatches: list[str] = []
        compare("head", got["head"], np.arange(c.max_heads), mismatches)
        total = np.zeros(c.max_heads, dtype=np.int64)
        np.add.at(total, kv_head, sums)
        compare("total", got["total"], total, mismatches)
        taken = block.taken("head_sums")
        figures.append(Figure("head importance", name, number, span(taken), number, taken.bubbles,
                              mismatches=[f"head importance, {name}: {m}" for m in mismatches]))
    return figures
