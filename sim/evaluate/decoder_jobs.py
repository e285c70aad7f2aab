"""The layer jobs of a decoder with a KV cache: a causal prompt, then one generation step per token.

All layers have planes of their own for K and V, as long as the context; a job's output is read before the next one is
written. Prompts keep every token and value; steps restart from all tokens and prune by the scores so far.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sim.models.precision import Precision
from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.job import LayerJob, check, descriptor_bytes
from spatten_hw.host.layout import WORD_BYTES, Arena, Plane, pairs_save, row_bytes
from spatten_hw.host.plan import head_scale
from spatten_hw.host.schedule import LayerCounts

#: Width of the dense attention that traffic is compared with.
DENSE_BITS = 12


class Decoder(Protocol):
    """What is asked of a model: sizes, the largest magnitudes of its operands, and everything but attention."""

    layers: int
    heads: int
    dim: int
    context: int
    peaks: dict[str, np.ndarray]

    def embed(self, ids: np.ndarray, positions: np.ndarray) -> np.ndarray: ...
    def project(self, layer: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def finish(self, layer: int, x: np.ndarray, out: np.ndarray) -> np.ndarray: ...
    def logits(self, x: np.ndarray) -> np.ndarray: ...


def check_build(model: Decoder, config: SpAttenConfig) -> None:
    """Refuses a build that is too small for the model."""
    for name, need in (("max_dim", model.dim), ("max_tokens", model.context), ("max_heads", model.heads)):
        if getattr(config, name) < need:
            raise UserError(f"the decoder needs {name} ≥ {need}, '{config.name}' has {getattr(config, name)}: "
                            f"use another preset or --set {name}={need}")
    if model.dim < config.min_dim:
        raise UserError(f"the decoder needs min_dim ≤ {model.dim}, '{config.name}' has {config.min_dim}")


class DecoderJobs:
    """Jobs of `model` on `config` in `precision`. `scales`: "q", "k", "v" → [layers, heads], static, from the model's
    peaks; `out_unit`: real value of an output integer."""

    def __init__(self, config: SpAttenConfig, model: Decoder, precision: Precision, prompt: int,
                 protect_first: int, protect_last: int):
        self.config, self.model, self.precision, self.prompt_rows = config, model, precision, prompt
        self.protect = {"protect_first": protect_first, "protect_last": protect_last}
        self.scales = {name: model.peaks[name] / ((1 << (bits - 1)) - 1)
                       for name, bits in zip("qkv", precision.whole, strict=True)}
        self.out_unit = float(model.peaks["v"].max()) / ((1 << (OUT_BITS - 1)) - 1)
        arena = Arena(config)
        pair = pairs_save(config, model.heads, model.dim, precision.k_bits[0])

        def planes() -> dict[str, Plane]:
            return {name: arena.plane(model.heads, self.rows(name), row_bytes(model.dim, bits),
                                      pair=pair and name == "k_msb")
                    for name, bits in precision.planes.items()}

        self.planes = [planes() for _ in range(model.layers)]
        #: Of prompts and of steps.
        self.outs = arena.out_plane(model.heads, prompt, model.dim), arena.out_plane(model.heads, 1, model.dim)
        self.ids = arena.alloc(WORD_BYTES * (1 + model.context + model.heads))
        self.descriptor = arena.alloc(descriptor_bytes(model.heads))

    def rows(self, plane: str) -> int:
        """Rows of a head in a plane: Q holds a prompt, K and V the context."""
        return self.prompt_rows if plane == "q" else self.model.context

    def prompt(self, layer: int, tokens: int) -> LayerJob:
        """The prompt in one layer; scores start at 0 in the first."""
        return self._job(layer, tokens, causal=1, restart=int(layer == 0), clear_scores=int(layer == 0))

    def step(self, layer: int, tokens: int, keep: LayerCounts) -> LayerJob:
        """A step with `tokens` tokens in context, the newest included."""
        return self._job(layer, tokens, generate=1, restart=int(layer == 0), keep_tokens=keep.tokens[layer],
                         keep_heads=keep.heads[layer], keep_values=keep.values[layer], **self.protect)

    def _job(self, layer: int, tokens: int, **fields: int) -> LayerJob:
        p, model = self.precision, self.model
        places: dict[str, int] = {}
        for name, plane in (*self.planes[layer].items(), ("out", self.outs[fields.get("generate", 0)])):
            places |= {f"{name}_base": plane.base, f"{name}_head_stride": plane.head_stride,
                       f"{name}_token_stride": plane.token_stride}
        q, k, v = (self.scales[name][layer].tolist() for name in "qkv")
        scales = tuple(head_scale(*units, model.dim, self.out_unit) for units in zip(q, k, v, strict=True))
        job = LayerJob(
            dim=model.dim, tokens=tokens, heads=model.heads, group=1, scales=scales, q_bits=p.q_bits,
            k_msb=p.k_bits[0], k_lsb=p.k_bits[1], v_msb=p.v_bits[0], v_lsb=p.v_bits[1], threshold=p.threshold,
            pair=int(self.planes[layer]["k_msb"].pair), store_ids=1, ids_out=self.ids, **places, **fields)
        check(job, self.config, self.descriptor)
        return job


def dense_bytes(model: Decoder, prompt: int, last: int) -> int:
    """Bytes of one sequence, dense in `DENSE_BITS` with 16-bit outputs, every row once: a prompt, then steps with
    prompt + 1 … `last` tokens in context."""
    row, out = row_bytes(model.dim, DENSE_BITS), model.dim * OUT_BITS // 8
    keys = sum(range(prompt + 1, last + 1))
    queries = last  # prompt rows and one per step
    return model.layers * model.heads * (queries * (row + out) + 2 * (prompt + keys) * row)


def dense_macs(model: Decoder, prompt: int, last: int) -> int:
    """Multiply-accumulates of Q×K and Prob×V of the same: every query with every token up to its own."""
    return 2 * model.layers * model.heads * model.dim * (last * (last + 1) // 2)
