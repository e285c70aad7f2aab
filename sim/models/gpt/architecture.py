"""Sizes of the GPT and the names of its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """Sizes of a model. `dim`: of a head; `context`: most tokens it sees."""

    layers: int = 4
    heads: int = 8
    dim: int = 32
    context: int = 256
    vocabulary: int = 96

    @property
    def hidden(self) -> int:
        return self.heads * self.dim

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all weights; matrices are [out, in]."""
        n = self.hidden
        shapes: dict[str, tuple[int, ...]] = {"tokens": (self.vocabulary, n), "positions": (self.context, n)}
        for layer in range(self.layers):
            for name, (rows, columns) in {"q": (n, n), "k": (n, n), "v": (n, n), "out": (n, n), "up": (4 * n, n),
                                          "down": (n, 4 * n)}.items():
                shapes |= {f"{layer}.{name}.weight": (rows, columns), f"{layer}.{name}.bias": (rows,)}
            for name in ("before_attention", "before_mlp"):
                shapes |= {f"{layer}.{name}.weight": (n,), f"{layer}.{name}.bias": (n,)}
        return shapes | {"last.weight": (n,), "last.bias": (n,)}
