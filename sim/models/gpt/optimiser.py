"""How weights are updated: Muon for the matrices inside the blocks, AdamW for all else, one schedule for both.

Muon (Jordan et al. 2024) makes a momentum's singular values all about 1 before it is applied, so that few steps go
far. PyTorch's own computes that in bfloat16, which took 5 s per step on a CPU without units for it; with float32, pass
and update together take 1 s.
"""

from __future__ import annotations

import torch

#: Coefficients of the Newton-Schulz iteration, and its number of steps, as published.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5
_MOMENTUM = 0.95


def orthogonal(m: torch.Tensor) -> torch.Tensor:
    """`m` [rows, columns] with singular values brought to about 1."""
    wide = m.shape[0] <= m.shape[1]
    x = m if wide else m.T
    x = x / (x.norm() + 1e-7)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x if wide else x.T


class Optimiser:
    """Updates `weights` by name from their gradients."""

    def __init__(self, weights: dict[str, torch.Tensor], matrix_rate: float, rate: float):
        self.matrix_rate, self.rate = matrix_rate, rate
        inner = {name for name, w in weights.items() if w.ndim == 2 and name not in ("tokens", "positions")}
        self.matrices = [weights[name] for name in sorted(inner)]
        self.momenta = [torch.zeros_like(w) for w in self.matrices]
        self.adam = torch.optim.AdamW([w for name, w in weights.items() if name not in inner], lr=rate,
                                      betas=(0.9, 0.98), weight_decay=0.01)

    @torch.no_grad()
    def step(self, part: float) -> None:
        """One update at `part` (0 … 1) of the learning rates; gradients are cleared."""
        for group in self.adam.param_groups:
            group["lr"] = self.rate * part
        self.adam.step()
        self.adam.zero_grad()
        for w, momentum in zip(self.matrices, self.momenta, strict=True):
            assert w.grad is not None
            momentum.mul_(_MOMENTUM).add_(w.grad)
            update = orthogonal(w.grad + _MOMENTUM * momentum)
            step = self.matrix_rate * part * max(1.0, w.shape[0] / w.shape[1]) ** 0.5
            w.mul_(1 - 0.1 * self.matrix_rate * part).sub_(step * update)
            w.grad = None
