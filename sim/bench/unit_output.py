"""Requantiser, token importance and head importance by themselves."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import OUT_BITS, PROB_BITS, SpAttenConfig
from spatten_hw.prune.accumulate import ADD_CYCLES, READ_CYCLES
from spatten_hw.prune.head_importance import HeadImportance
from spatten_hw.prune.token_importance import TokenImportance
from spatten_hw.sim.golden.requantise import head_sum, requantise
from spatten_hw.sim.golden.token_importance import token_importance
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import Progress
from spatten_hw.write.requantise import Requantiser, beat_elements, latency

from .blocks import Figure, compare, mixes, rows_of, span


def requantiser(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """`count` rows of sums per D: one beat of output per cycle."""
    block = Block(Requantiser, c, progress=progress)
    mant, shift = rng.integers(0, 1 << 17, c.max_heads), rng.integers(10, 30, c.max_heads)
    block.lookup("scale_head", "scale", {"out_mant": mant, "out_shift": shift})
    top = 1 << (c.acc_bits - 1)
    figures = []
    for dim in c.dims:
        block.reset()
        block.set(job={"dim_log2": (dim // c.min_dim).bit_length() - 1, "out_token_stride": 0})
        block.idle(2)   # the job holds still before the first row
        head, kv_head = (rng.integers(0, c.max_heads, count) for _ in range(2))
        acc = rng.integers(-top, top, (count, c.max_dim))
        beats = max(1, dim // beat_elements(c))
        per_beat = dim // beats
        for stream in ("o", "head_sums"):
            block.receive(stream)
        block.send("i", {"acc": acc, "tag": {"head": head, "kv_head": kv_head}})
        block.run(400 + 2 * beats * count, o=beats * count, head_sums=beats * count)
        out, sums = block.taken("o"), block.taken("head_sums")
        want = requantise(acc[:, :dim], mant[head][:, None], shift[head][:, None]).reshape(-1, per_beat)
        # A beat's elements are the lowest bytes of its payload, which begins with the data.
        got = out.payloads[:, :2 * per_beat].copy().view("<i2")
        mismatches: list[str] = []
        compare("out", got, want, mismatches)
        compare("last", out.columns()["last"], np.tile(np.arange(beats) == beats - 1, count), mismatches)
        compare("sum", sums.columns()["sum"], head_sum(want), mismatches)
        compare("kv_head", sums.columns()["kv_head"], np.repeat(kv_head, beats), mismatches)
        figures.append(Figure("requantise", f"D={dim}", count, span(out), beats * count, out.bubbles,
                              int(out.cycles[0] - block.taken("i").cycles[0]), latency(c),
                              mismatches=[f"requantise, D={dim}: {m}" for m in mismatches]))
    return figures


def tokens(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """Token importance: `count` vectors of probabilities per mix, one row of L per cycle, then the sums are read."""
    block = Block(TokenImportance, c, progress=progress)
    figures = []
    for name, lengths in mixes(rng, c.lanes, c.max_tokens, count).items():
        probs = [rng.integers(0, 1 << PROB_BITS, n) for n in lengths]
        rows = rows_of(probs, c.lanes, fill=(1 << PROB_BITS) - 1)  # dead lanes must not count
        block.reset()
        block.send("probs", {"probs": rows.values, "count": rows.count, "last": rows.last})
        block.run(100 + 2 * len(rows), probs=len(rows))
        block.idle(ADD_CYCLES)
        mismatches = [] if block.get("idle") else ["not idle after all rows"]
        padded = np.zeros((count, c.max_rows * c.lanes), dtype=np.int64)
        for at, p in enumerate(probs):
            padded[at, :len(p)] = p
        block.set(scan=1, read_enable=1)
        sums = []
        for row in range(c.max_rows):
            block.set(read_row=row)
            block.idle(READ_CYCLES)
            sums += block.get("sums")
        block.set(scan=0, read_enable=0)
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
