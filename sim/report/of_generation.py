"""The record of a generated text: the prompt's pass, then a step per token."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from spatten_hw.sim.models.decoder.report import Report
from spatten_hw.sim.models.decoder.session import Trace

from .record import LayerRecord, RunRecord, SequenceRecord, StepRecord


def generation_record(r: Report) -> RunRecord:
    """What a generation did. The last token was never fed back, so it is not in the sequence."""
    tokens = r.prompt + r.text[:-1]
    steps = tuple(StepRecord("prompt" if step == 0 else f"token {len(r.prompt) + step - 1}", tuple(map(_layer, traces)))
                  for step, traces in groupby(r.traces, key=lambda t: t.step))
    note = f"goes on: {''.join(r.text)}"
    if r.eviction is not None:
        note += (f"; {r.eviction['policy']} keeps {r.eviction['cache']} tokens of each K/V head, which has a job of "
                 "its own: what is called a layer below is a K/V head, all of the first layer first")
    sequence = SequenceRecord(f"{''.join(r.prompt)}…", tokens, steps, note)
    title = "A GPT on SpAtten, a character per token" if r.unit == "character" else "A language model on SpAtten"
    return RunRecord(title, r.engine, r.config.name, f"{r.config.hash:08x}", r.bit_exact, (sequence,))


def _layer(t: Trace) -> LayerRecord:
    p = t.by_position
    return LayerRecord(
        t.layer, tuple(np.flatnonzero(p.tokens_alive).tolist()), tuple(p.token_importance.tolist()), len(p.heads_alive),
        tuple(np.flatnonzero(p.heads_alive).tolist()), tuple(p.head_importance.tolist()), p.queries, p.refetched,
        p.bytes, t.dense_bytes if p.bytes is not None else None, p.cycles)
