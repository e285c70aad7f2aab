"""The layer jobs of a GPT with a KV cache: a causal prompt, then one generation job per layer and token.

Every layer has planes of its own for K and V, MSBs and LSBs apart, with room for the whole context; a token's rows are
written once and stay where they are. Q, outputs and the lists of survivors use the same places in every job, because
each job is waited for: the host computes the rest of the block before it knows the next layer's operands.

What is pruned: the prompt keeps all tokens and heads, because every later step starts again from all of them and needs
K and V of every position in every layer; values are pruned per query, and LSBs fetched for flat rows. Steps prune
tokens and heads too, by the importance so far: it accumulates inside the accelerator over layers and steps (`restart`
makes all tokens alive again, `clear_scores` comes with the prompt alone).
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.job import LayerJob, check, descriptor_bytes
from spatten_hw.host.layout import WORD_BYTES, Arena, Plane, pairs_save, row_bytes
from spatten_hw.host.plan import head_scale
from spatten_hw.host.workload.schedule import LayerCounts

from .model import OPERANDS, Gpt
from .settings import GptSettings


class GptJobs:
    """Jobs of `model` on `config` under `settings`, for a prompt of `prompt` tokens.

    `scales`: "q", "k", "v" → float64 [layers, heads], static: the model's peaks over the largest code. `out_unit`: real
    value of an output integer, the same everywhere, so that importance of heads adds up over layers. `planes`:
    per layer, by name. Raises `UserError` if the build is too small.
    """

    def __init__(self, model: Gpt, config: SpAttenConfig, settings: GptSettings, prompt: int):
        check_build(model, config, settings, prompt)
        self.model, self.config, self.settings = model, config, settings
        self.scales = {name: model.peaks[name] / ((1 << (settings.bits[name] - 1)) - 1) for name in OPERANDS}
        self.out_unit = float(model.peaks["v"].max()) / ((1 << (OUT_BITS - 1)) - 1)
        self._scales = [tuple(head_scale(q, k, v, model.dim, self.out_unit) for q, k, v in zip(*layer, strict=True))
                        for layer in zip(*(self.scales[name].tolist() for name in OPERANDS), strict=True)]
        arena = Arena(config)
        s = settings
        pair = pairs_save(config, model.heads, model.dim, s.k_bits[0])
        self.widths = {name: bits for name, bits in (("k_msb", s.k_bits[0]), ("k_lsb", s.k_bits[1]),
                                                     ("v_msb", s.v_bits[0]), ("v_lsb", s.v_bits[1])) if bits}

        def plane(tokens: int, bits: int, pair: bool = False) -> Plane:
            return arena.plane(model.heads, tokens, row_bytes(model.dim, bits), pair=pair)

        self.planes = [{name: plane(model.context, bits, pair and name == "k_msb")
                        for name, bits in self.widths.items()} for _ in range(model.layers)]
        self.q = plane(prompt, s.q_bits)
        self.out = {rows: arena.out_plane(model.heads, rows, model.dim) for rows in {1, prompt}}
        self.ids = arena.alloc(WORD_BYTES * (1 + model.context + model.heads))
        self.descriptor = arena.alloc(descriptor_bytes(model.heads))

    def prompt(self, layer: int, tokens: int, keep: LayerCounts) -> LayerJob:
        """The causal pass over `tokens` tokens; scores start at 0 in the first layer."""
        first = int(layer == 0)
        return self._job(layer, tokens, self.out[tokens], causal=1, restart=first, clear_scores=first,
                         keep_values=keep.values[layer])

    def step(self, layer: int, tokens: int, keep: LayerCounts) -> LayerJob:
        """The newest of `tokens` tokens as the only query; scores go on."""
        s = self.settings
        return self._job(layer, tokens, self.out[1], generate=1, restart=int(layer == 0),
                         keep_tokens=keep.tokens[layer], keep_heads=keep.heads[layer], keep_values=keep.values[layer],
                         protect_first=min(s.protect_first, tokens), protect_last=min(s.protect_last, tokens))

    def _job(self, layer: int, tokens: int, out: Plane, **fields: int) -> LayerJob:
        model, s = self.model, self.settings
        places: dict[str, int] = {}
        for name, plane in (*self.planes[layer].items(), ("q", self.q), ("out", out)):
            places |= {f"{name}_base": plane.base, f"{name}_head_stride": plane.head_stride,
                       f"{name}_token_stride": plane.token_stride}
        job = LayerJob(
            dim=model.dim, tokens=tokens, heads=model.heads, group=1, scales=self._scales[layer], q_bits=s.q_bits,
            k_msb=s.k_bits[0], k_lsb=s.k_bits[1], v_msb=s.v_bits[0], v_lsb=s.v_bits[1], threshold=s.threshold_code,
            pair=int(self.planes[layer]["k_msb"].pair), store_ids=1, ids_out=self.ids, **places, **fields)
        check(job, self.config, self.descriptor)
        return job


def check_build(model: Gpt, config: SpAttenConfig, settings: GptSettings, prompt: int) -> None:
    """Refuses a build that is too small for the model, or for the prompt."""
    widest = max(settings.bits.values())
    for name, need in (("max_dim", model.dim), ("max_heads", model.heads), ("max_tokens", model.context),
                       ("operand_bits", widest)):
        if getattr(config, name) < need:
            raise UserError(f"the GPT needs {name} ≥ {need}, '{config.name}' has {getattr(config, name)}: use another "
                            f"preset or --set {name}={need}")
    if model.dim not in config.dims:
        raise UserError(f"the GPT has heads of {model.dim}, '{config.name}' takes {', '.join(map(str, config.dims))}: "
                        "use another preset")
    most = config.sram_tokens * config.max_dim // model.dim
    if prompt > most:
        raise UserError(f"the prompt has {prompt} characters, the K/V memories of '{config.name}' hold {most}: shorten "
                        "it or raise sram_tokens")


def real_rows(x: np.ndarray) -> np.ndarray:
    """The model's rows [tokens, heads, dim] as the accelerator has them, float64 [heads, tokens, dim]."""
    return np.swapaxes(np.asarray(x, dtype=np.float64), 0, 1)
