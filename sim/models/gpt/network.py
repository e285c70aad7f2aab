"""The same architecture in PyTorch, for training: weights have the names of `Architecture.shapes`."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .architecture import Architecture
from .model import NORM_EPS, Gpt


def initial_weights(a: Architecture, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """GPT-2's start: normal of 0.02, biases 0, norms 1; matrices that write to the residual stream begin at 0."""
    weights = {}
    for name, shape in a.shapes().items():
        if len(shape) == 1:
            w = torch.ones(shape) if "before" in name or "last" in name else torch.zeros(shape)
            if name.endswith("bias"):
                w = torch.zeros(shape)
        elif name.endswith(("out.weight", "down.weight")):
            w = torch.zeros(shape)
        else:
            w = 0.02 * torch.randn(shape, generator=generator)
        weights[name] = w.requires_grad_()
    return weights


def forward(a: Architecture, w: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    """Logits [windows, tokens, vocabulary] of ids [windows, tokens]."""
    def dense(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (a.hidden,), w[f"{name}.weight"], w[f"{name}.bias"], NORM_EPS)

    count, tokens = ids.shape
    x = w["tokens"][ids] + w["positions"][:tokens]
    for layer in range(a.layers):
        rows = norm(x, f"{layer}.before_attention")
        q, k, v = (dense(rows, f"{layer}.{name}").view(count, tokens, a.heads, a.dim).transpose(1, 2)
                   for name in ("q", "k", "v"))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(count, tokens, a.hidden)
        x = x + dense(out, f"{layer}.out")
        inner = F.gelu(dense(norm(x, f"{layer}.before_mlp"), f"{layer}.up"), approximate="tanh")
        x = x + dense(inner, f"{layer}.down")
    return norm(x, "last") @ w["tokens"].T


def to_numpy(a: Architecture, w: dict[str, torch.Tensor]) -> Gpt:
    """The model for inference, without peaks."""
    return Gpt(a, {name: np.array(x.detach().numpy(), dtype=np.float32) for name, x in w.items()})
