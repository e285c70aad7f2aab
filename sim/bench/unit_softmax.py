"""Softmax and local top-k by themselves."""

from __future__ import annotations

import numpy as np
from amaranth import unsigned
from amaranth.lib import data

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.host.scales import score_scale
from spatten_hw.shared import only_asked
from spatten_hw.sim.golden.softmax import softmax as golden_softmax
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import Progress
from spatten_hw.sim.harness.payload import pack
from spatten_hw.softmax.softmax import Softmax
from spatten_hw.topk.local import LocalTopK

from .blocks import Figure, compare, mixes, rows_of, span
from .topk import CASES


def softmax(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """`count` vectors per mix; a vector's slot is handed out again as soon as the softmax frees it, its first score
    row comes one cycle after. The rate is that of arriving score rows, R per cycle."""
    block = Block(Softmax, c, progress=progress)
    figures = []
    scales = [score_scale(2.0 ** rng.uniform(-14, -6)) for _ in range(c.max_heads)]
    names = ("score_mant", "score_pre", "score_post")
    block.lookup("scale_head", "scale", dict(zip(names, np.array(scales).T, strict=True)))
    for dim in c.dims:
        r = c.rows_per_cycle(dim)
        block.reset()
        block.set(job={"dim_log2": (dim // c.min_dim).bit_length() - 1})
        for name, lengths in mixes(rng, r, c.max_tokens, count).items():
            figures.append(_softmax_case(block, dim, name, lengths, scales, rng))
    return figures


def _softmax_case(block: Block, dim: int, name: str, lengths: list[int], scales: list[tuple[int, int, int]],
                  rng: np.random.Generator) -> Figure:
    component = block.component
    assert isinstance(component, Softmax)
    c = component.config
    number = np.arange(len(lengths))
    slot, head = number % c.slots, rng.integers(0, c.max_heads, len(lengths))
    scores = [rng.normal(0, 1 << (c.score_bits - 6), n).astype(np.int64) for n in lengths]
    rows = rows_of(scores, c.rows_per_cycle(dim))
    for stream in ("o", "free", "flat"):
        block.receive(stream)
    block.send("meta", {"slot": slot, "keys": np.array(lengths), "tag": {"head": head, "query": number % c.max_tokens}},
               after=("free", np.maximum(number - c.slots + 1, 0)))
    block.send("i", {"scores": rows.values, "count": rows.count, "last": rows.last, "row": rows.row,
                     "slot": slot[rows.vector]}, after=("meta", rows.vector + 1))
    padded = np.zeros((len(lengths), max(lengths)), dtype=np.int64)
    for at, s in enumerate(scores):
        padded[at, :len(s)] = s
    mant, pre, post = np.array(scales).T[:, head]
    probs, _ = golden_softmax(padded, lengths, mant, pre, post, c.max_tokens)
    want = rows_of([p[:n] for p, n in zip(probs, lengths, strict=True)], c.lanes)
    block.run(400 + 4 * len(rows) + 200 * len(lengths), o=len(want), free=len(lengths))
    got = block.taken("o").columns()
    case = f"D={dim}, {name}"
    mismatches: list[str] = []
    live = np.arange(c.lanes) < want.count[:, None]
    compare("probs", np.where(live, got["probs"], 0), want.values, mismatches)
    for field, values in (("count", want.count), ("last", want.last)):
        compare(field, got[field], values, mismatches)
    compare("head", got["tag"]["head"], head[want.vector], mismatches)
    taken, out = block.taken("i"), block.taken("o")
    first_row = int(np.flatnonzero(rows.last)[0])
    held = block.taken("free").cycles - taken.cycles[rows.row == 0] + 1
    return Figure("softmax", case, len(lengths), span(taken), len(rows), taken.bubbles,
                  int(out.cycles[0] - taken.cycles[first_row]), component.latency(-(-lengths[0] // c.lanes)),
                  f"{c.slots} slots, each held {held.mean():.1f} cycles from its first row",
                  [f"softmax, {case}: {m}" for m in mismatches])


def local_topk(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """The local top-k on random probabilities, L per cycle: what enters between the first and the last row."""
    block = Block(LocalTopK, c, progress=progress)
    alive = np.sort(rng.permutation(c.max_tokens))
    ids = np.zeros(c.max_rows * c.lanes, dtype=np.int64)
    ids[:len(alive)] = alive
    rows = data.StructLayout({"ids": data.ArrayLayout(unsigned(c.token_bits), c.lanes)})
    block.lookup("list_row", "list_ids", pack(rows, {"ids": ids.reshape(-1, c.lanes)}))
    engine = c.engine.make(PROB_BITS, c.token_bits, 1, c.topk_lanes, c.max_tokens)
    only_asked(engine)
    figures = []
    for n, k in [*((n, k) for n, k in CASES if n <= c.max_tokens), (min(384, c.max_tokens), c.max_tokens), (1, 1)]:
        stated = max(-(-n // c.lanes), engine.cycles(n) or 0)
        figures.append(_local_case(block, n, k, count, stated, rng))
    return figures


def _local_case(block: Block, n: int, k: int, count: int, stated: int, rng: np.random.Generator) -> Figure:
    c = block.component.config  # type: ignore[attr-defined]
    number = np.arange(count)
    stream_v = rng.integers(0, 2, count)
    keys = np.minimum(rng.exponential(200, (count, n)).astype(np.int64), (1 << PROB_BITS) - 1)
    rows = rows_of(list(keys), c.lanes)
    block.set(job={"keep_values": min(k, c.max_tokens)})
    block.receive("kept")
    block.send("probs", {"probs": rows.values, "count": rows.count, "last": rows.last,
                         "tag": {"query": number[rows.vector] % c.max_tokens, "stream_v": stream_v[rows.vector]}})
    mask = c.engine.golden_mask()(keys, k)
    # Every token is alive, so a position is an id.
    want, ids = (rows_of(list(v), c.topk_lanes) for v in (
        [x[m] for x, m in zip(keys, mask, strict=True)], [np.flatnonzero(m) for m in mask]))
    block.run(4000 + 60 * len(rows) + 300 * count, kept=len(want))
    kept = block.taken("kept")
    got = kept.columns()
    live = np.arange(c.topk_lanes) < want.count[:, None]
    case = f"n={n}, {'keep all' if k >= n else f'k={k}'}"
    mismatches: list[str] = []
    for name, values in (("keys", want.values), ("payloads", ids.values)):
        compare(name, np.where(live, got[name], 0), values, mismatches)
    compare("last", got["last"], want.last, mismatches)
    ends = kept.cycles[want.last == 1]
    taken = block.taken("probs")
    return Figure("local top-k", case, count, span(taken), stated * count, taken.bubbles,
                  note=f"{c.engine.name}: a vector leaves every {(ends[-1] - ends[0]) / max(1, count - 1):.1f} cycles",
                  mismatches=[f"local top-k, {case}: {m}" for m in mismatches])
