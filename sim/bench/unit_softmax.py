"""Softmax and local top-k by themselves."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.host.scales import score_scale
from spatten_hw.sim.golden.softmax import softmax as golden_softmax
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.build import Progress
from spatten_hw.softmax.softmax import Softmax
from spatten_hw.topk.local import LocalTopK

from .blocks import Figure, compare, mixes, rows_of, span
from .topk import CASES


def softmax(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """`count` vectors per mix; a vector's slot is handed out again as soon as the softmax frees it, its first scores
    come one cycle after. The rate is that of arriving scores, one per slice and cycle."""
    block = Block(Softmax, c, progress=progress)
    scales = [score_scale(2.0 ** rng.uniform(-14, -6)) for _ in range(c.max_heads)]
    names = ("score_mant", "score_pre", "score_post")
    block.lookup("scale_head", "scale", dict(zip(names, np.array(scales).T, strict=True)))
    block.set(job={})
    return [_softmax_case(block, name, lengths, scales, rng)
            for name, lengths in mixes(rng, c.slices, c.max_tokens, count).items()]


def _softmax_case(block: Block, case: str, lengths: list[int], scales: list[tuple[int, int, int]],
                  rng: np.random.Generator) -> Figure:
    component = block.component
    assert isinstance(component, Softmax)
    c = component.config
    number = np.arange(len(lengths))
    slot, head = number % c.slots, rng.integers(0, c.max_heads, len(lengths))
    scores = [rng.normal(0, 1 << (c.score_bits - 6), n).astype(np.int64) for n in lengths]
    # As in a prompt: key p is row p div S of slice p mod S.
    rows = rows_of(scores, c.slices)
    live = np.arange(c.slices) < rows.count[:, None]
    keys = np.stack([(np.array(lengths) - s + c.slices - 1) // c.slices for s in range(c.slices)], axis=1)
    for stream in ("o", "free", "decided"):
        block.receive(stream)
    block.send("meta", {"slot": slot, "keys": keys, "tag": {"head": head, "query": number % c.max_tokens}},
               after=("free", np.maximum(number - c.slots + 1, 0)))
    for s in range(c.slices):
        mine = live[:, s]
        block.send(f"i__{s}", {"score": rows.values[mine, s], "row": rows.row[mine], "slot": slot[rows.vector[mine]]}
                   if mine.any() else [], after=("meta", rows.vector[mine] + 1) if mine.any() else None)
    padded = np.zeros((len(lengths), max(lengths)), dtype=np.int64)
    for at, values in enumerate(scores):
        padded[at, :len(values)] = values
    mant, pre, post = np.array(scales).T[:, head]
    probs, _ = golden_softmax(padded, lengths, mant, pre, post, c.max_tokens)
    want = rows_of([p[:n] for p, n in zip(probs, lengths, strict=True)], c.slices)
    block.run(400 + 4 * len(rows) + 200 * len(lengths), o=len(want), free=len(lengths))
    got = block.taken("o").columns()
    mismatches: list[str] = []
    for field, values in (("probs", want.values), ("live", live @ (1 << np.arange(c.slices))), ("last", want.last)):
        compare(field, got[field], values, mismatches)
    compare("head", got["tag"]["head"], head[want.vector], mismatches)
    taken, out = block.taken("i__0"), block.taken("o")
    done = int(taken.cycles[np.flatnonzero(rows.last)[0]])
    held = block.taken("free").cycles - taken.cycles[rows.row == 0] + 1
    return Figure("softmax", case, len(lengths), span(taken), len(rows), taken.bubbles,
                  int(out.cycles[0] - done), component.latency(-(-lengths[0] // c.slices)),
                  f"{c.slots} slots, each held {held.mean():.1f} cycles from its first score",
                  [f"softmax, {case}: {m}" for m in mismatches])


def local_topk(c: SpAttenConfig, rng: np.random.Generator, count: int, progress: Progress) -> list[Figure]:
    """The local top-k on random probabilities, a row of S per cycle: what enters between the first and the last row."""
    block = Block(LocalTopK, c, progress=progress)
    component = block.component
    assert isinstance(component, LocalTopK)
    figures = []
    for n, k in [*((n, k) for n, k in CASES if n <= c.max_tokens), (min(384, c.max_tokens), c.max_tokens), (1, 1)]:
        rows = -(-n // c.slices)
        stated = max(rows, component.engine.cycles(n, -(-rows // component.wide)) or 0)
        figures.append(_local_case(block, n, k, count, stated, rng))
    return figures


def _local_case(block: Block, n: int, k: int, count: int, stated: int, rng: np.random.Generator) -> Figure:
    c = block.component.config  # type: ignore[attr-defined]
    number = np.arange(count)
    keys = np.minimum(rng.exponential(200, (count, n)).astype(np.int64), (1 << PROB_BITS) - 1)
    rows = rows_of(list(keys), c.slices)
    live = np.arange(c.slices) < rows.count[:, None]
    weights = 1 << np.arange(c.slices)
    block.set(job={"keep_values": min(k, c.max_tokens)})
    block.receive("kept")
    block.send("probs", {"probs": rows.values, "live": live @ weights, "last": rows.last,
                         "tag": {"query": number[rows.vector] % c.max_tokens}})
    mask = c.engine.golden_mask()(keys, k)
    want = np.zeros(live.shape, dtype=bool)
    want[live] = np.concatenate(mask)
    block.run(4000 + 60 * len(rows) + 300 * count, kept=len(rows))
    kept = block.taken("kept")
    got = kept.columns()
    case = f"n={n}, {'keep all' if k >= n else f'k={k}'}"
    mismatches: list[str] = []
    for name, values in (("probs", rows.values), ("kept", want @ weights), ("row", rows.row), ("last", rows.last)):
        compare(name, got[name], values, mismatches)
    ends = kept.cycles[rows.last == 1]
    taken = block.taken("probs")
    return Figure("local top-k", case, count, span(taken), stated * count, taken.bubbles,
                  note=f"{c.engine.name}: a vector leaves every {(ends[-1] - ends[0]) / max(1, count - 1):.1f} cycles",
                  mismatches=[f"local top-k, {case}: {m}" for m in mismatches])
