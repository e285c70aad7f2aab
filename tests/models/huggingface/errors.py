"""Prints the table of `docs/huggingface.md`: outputs of tiny models on the golden engine against `eager`, by width."""

from __future__ import annotations

import torch

from spatten_hw.sim.models.huggingface import SpAttenAttention
from tests.models.huggingface.tiny import config, model, tokens

WIDTHS: tuple[int | tuple[int, int], ...] = (12, (8, 4), 10, 8, 6)


def error(name: str, bits: int | tuple[int, int]) -> float:
    """Largest difference relative to the largest output; K and V of `bits`, Q of all of them."""
    of = config(name)
    ids = tokens(2, 24)
    whole = bits if isinstance(bits, int) else sum(bits)
    with torch.no_grad(), SpAttenAttention("small", q_bits=whole, k_bits=bits, v_bits=bits, threshold=0.1):
        eager, ours = (model(of, kind)(input_ids=ids)[0] for kind in ("eager", "spatten"))
    return float((eager - ours).abs().max() / eager.abs().max())


if __name__ == "__main__":
    print("| model | 12 | 8+4, threshold 0.1 | 10 | 8 | 6 |\n|---|---|---|---|---|---|")
    for name in ("bert", "gpt2", "llama"):
        print(f"| {name} | " + " | ".join(f"{error(name, bits):.1e}" for bits in WIDTHS) + " |")
