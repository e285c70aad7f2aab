"""The record of `spatten-hw run`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatten_hw.host.results import dense_layer_bytes
from spatten_hw.host.workload import Workload
from spatten_hw.sim.engine import RunResult

from .record import LayerRecord, RunRecord, SequenceRecord, StepRecord
from .text import visible


def run_record(result: RunResult, w: Workload) -> RunRecord:
    """What `run_workload` gave for `w`. Tokens are called by their texts, if the workload has them, else by number."""
    name = Path(w.source).name
    tokens = w.tokens or tuple(map(str, range(w.shape.tokens)))
    note = f"cosine with float64 attention {result.cosine:.6f}, largest error {result.max_abs_error:.3g}"
    sequence = SequenceRecord(name, tokens, tuple(_step(result, w, tokens, i) for i in range(w.steps)),
                              "" if result.engine == "float" else note)
    return RunRecord(f"Attention of {name}", result.engine, result.config.name, f"{result.config.hash:08x}",
                     result.bit_exact, (sequence,))


def _step(result: RunResult, w: Workload, tokens: tuple[str, ...], step: int) -> StepRecord:
    o, known = result.outputs, w.tokens_at(step)
    name = f"{step}: token {known - 1}" if o.generate else "summarisation"
    if o.generate and w.tokens:
        name += f" {visible(tokens[known - 1])}"
    layers = []
    for s in o.layers[step * w.shape.layers:(step + 1) * w.shape.layers]:
        at = step, s.layer
        layers.append(LayerRecord(
            s.layer, _ids(o.step_token_kept[at]), tuple(o.step_token_scores[at][:known].tolist()), w.shape.kv_heads,
            _ids(o.step_head_kept[at]), tuple(o.step_head_scores[at].tolist()), s.queries, s.refetched, s.bytes,
            None if s.bytes is None else dense_layer_bytes(w, step), s.cycles))
    return StepRecord(name, tuple(layers))


def _ids(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())
