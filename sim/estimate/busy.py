"""Cycles that each unit needs for a job at least, and the operations it does.

Summed over the job's work items; what is uneven over slices counts with the fullest slice of the whole job, since
slices run ahead of each other.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

from .spread import fullest
from .steps import row_steps
from .traffic import rows_read
from .work import Work

#: Units of `Estimates.busy`.
UNITS = ("Q×K", "Prob×V", "softmax", "top-k", "channels", "steps", "writer")


def busy_cycles(work: Work, config: SpAttenConfig, bytes_: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Unit → cycles [N]. "channels": beats of the fullest channel; "steps": of rows out of the pool into a slice (a
    chunk of a row, or a beat if the row has more of these); "writer": output beats of a channel."""
    c, w = config, work
    generate = w.generate > 0
    chunks = w.dim / c.chunk
    rows = rows_read(w)
    # Generation: keys of the fullest slice, over all heads; prompts: spread by position.
    skew = fullest(w, c)
    keys = skew * w.tokens * w.heads / c.slices
    # A flat member of a gang scores the list of the gang once more.
    scored = np.where(generate, chunks * w.group * (keys + keys * w.near * w.flat * (w.k_lsb_bits > 0)),
                      w.heads * w.group * chunks * prompt_rows(w, c) * (1 + w.flat))
    kept = w.items * w.keep
    valued = chunks * (kept + np.where(generate & (w.v_lsb_bits > 0), kept * w.flat, 0)) / c.slices
    vectors = w.items * (1 + w.flat)
    vector_rows = np.where(generate, skew * w.tokens / c.slices, prompt_rows(w, c) / np.maximum(1, w.queries))
    soft = vectors * vector_rows
    pruned = (w.keep < w.mean_keys - 1e-9) | (w.by_mass > 0)
    topk = w.items * np.maximum(np.ceil(w.mean_keys / c.topk_lanes), vector_rows) * np.where(
        pruned, c.engine.passes, 1)
    read = sum(bytes_[name] for name in ("q", "k_msb", "k_lsb", "v_msb", "v_lsb"))
    channels = read / (c.channels * c.beat_bytes) * np.where(generate, skew, 1)

    k_steps = (rows["k_msb"] * row_steps(w.dim, w.k_bits, c)
               + rows["k_lsb"] * row_steps(w.dim, w.k_lsb_bits, c)) * skew / c.slices
    v_steps = (rows["v_msb"] * row_steps(w.dim, w.v_bits, c)
               + rows["v_lsb"] * row_steps(w.dim, w.v_lsb_bits, c)) / c.slices
    rate = np.maximum(k_steps, v_steps) if c.feeds == 2 else k_steps + v_steps
    return {"Q×K": scored, "Prob×V": valued, "softmax": soft, "top-k": topk, "channels": channels,
            "steps": np.where(generate, rate, 0),
            "writer": bytes_["out"] / (c.channels * c.beat_bytes)}


def prompt_rows(work: Work, config: SpAttenConfig) -> np.ndarray:
    """Rows of S keys of all queries of a query head of a prompt: ceil(keys / S) each."""
    s, n = config.slices, work.tokens
    whole = np.floor(n / s)
    causal = s * whole * (whole + 1) / 2 + (n - s * whole) * (whole + 1)
    return np.where(work.causal > 0, causal, n * np.ceil(n / s))


def operations(work: Work) -> dict[str, np.ndarray]:
    """Multiply-accumulates: "dense", of attention over all tokens and heads before pruning; "Q×K", "Prob×V": those
    done, with LSB passes; "done": their sum."""
    w = work
    queries = np.where(w.generate > 0, 1, w.context)
    keys = np.where((w.causal > 0) & (w.generate == 0), (w.context + 1) / 2, w.context)
    again = np.where(w.k_lsb_bits > 0, w.flat * np.where(w.generate > 0, w.near, 1), 0)
    score = w.items * w.mean_keys * (1 + again) * w.dim
    value = w.items * w.keep * w.dim * (1 + np.where((w.v_lsb_bits > 0) & (w.generate > 0), w.flat, 0))
    return {"dense": 2 * w.all_heads * w.group * queries * keys * w.dim, "Q×K": score, "Prob×V": value,
            "done": score + value}
