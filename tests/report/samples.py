"""Records of runs that never were, of any size, and the parts of a page."""

from __future__ import annotations

import json
import re

import numpy as np

from spatten_hw.sim.report.record import LayerRecord, RunRecord, SequenceRecord, StepRecord

#: Whatever could break a page.
NASTY = ("<s>", "</script>", "<!--", '"', "'", "&amp;", " ", "", "\n", "\t", "\x00", "\u202e", "\ud800", "né", "名",
         "<img src=x onerror=alert(1)>", "a" * 200, "http://example.org/x")


def sequence(seed: int, tokens: int, layers: int = 3, heads: int = 4, steps: int = 1, texts=None,
             label: str = "a text") -> SequenceRecord:
    """Random importance, half of what is alive dropping out per layer; each step has one token more."""
    rng = np.random.default_rng(seed)
    made = []
    for step in range(steps):
        known = tokens - steps + 1 + step
        alive, live_heads, rows = np.arange(known), np.arange(heads), []
        scores, head_scores = np.zeros(known), np.zeros(heads)
        for layer in range(layers):
            if layer:
                alive = np.sort(rng.permutation(alive)[:max(2, len(alive) // 2)])
                live_heads = live_heads[:max(1, len(live_heads) - 1)]
            scores[alive] += rng.gamma(0.5, 1, len(alive))
            head_scores[live_heads] += rng.gamma(2, 1, len(live_heads))
            queries = len(live_heads) * (1 if steps > 1 else len(alive))
            rows.append(LayerRecord(
                layer, tuple(alive.tolist()), tuple(scores.tolist()), heads, tuple(live_heads.tolist()),
                tuple(head_scores.tolist()), queries, queries // 3,
                {"q": 48 * queries, "k_msb": 32 * len(alive), "k_lsb": 16 * (queries // 3), "v_msb": 24 * len(alive),
                 "v_lsb": 0, "out": 64 * queries, "other": 500}, 200 * known, 1000 + 7 * queries))
        made.append(StepRecord(f"token {known - 1}" if steps > 1 else "summarisation", tuple(rows)))
    words = tuple(f"w{i}" for i in range(tokens)) if texts is None else tuple(texts)
    return SequenceRecord(label, words, tuple(made))


def record(*sequences: SequenceRecord, engine: str = "rtl", bit_exact: bool | None = True) -> RunRecord:
    """A run of `sequences`."""
    return RunRecord("A run", engine, "small", "0123abcd", bit_exact, sequences)


def embedded(page: str, element: str = "record"):
    """The JSON of a page's script element."""
    (found,) = re.findall(rf'<script type="application/json" id="{element}">(.*?)</script>', page, re.S)
    return json.loads(found)
