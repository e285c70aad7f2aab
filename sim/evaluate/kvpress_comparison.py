"""The same policies, model and text through the library kvpress: which tokens stay, and what it costs.

`make kvpress` runs it, in an environment of its own (kvpress 0.5.5 wants an older transformers than the adapter, and
much beside):

    python -m spatten_hw.sim.evaluate.kvpress_comparison [--windows N] [--cache N] [-o OUT.json]

kvpress drops tokens once, after the prompt, so ours do too (`steps` = "grow"). Both sides compute in float, ours with
numpy, kvpress with PyTorch: what differs in more than near ties is a different policy.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.output import write_all
from spatten_hw.presets import EIGHTH
from spatten_hw.sim.evaluate.inputs import language_bench
from spatten_hw.sim.evaluate.language import LanguageBench
from spatten_hw.sim.evaluate.point import Point
from spatten_hw.sim.models.eviction.policy import EVICTIONS, Eviction
from spatten_hw.sim.models.gpt.perplexity import cross_entropy
from spatten_hw.sim.models.llama.gguf_file import default_file

#: Our policy → the press of kvpress, and its arguments beside the ratio.
PRESSES: dict[str, tuple[str, dict[str, int]]] = {
    "streaming": ("StreamingLLMPress", {"n_sink": 4}),
    "snapkv": ("SnapKVPress", {"window_size": 32, "kernel_size": 5}),
    "observed": ("ObservedAttentionPress", {}),
    "tova": ("TOVAPress", {}),
}


def ours(bench: LanguageBench, policy: Eviction, cache: int) -> tuple[np.ndarray, np.ndarray]:
    """−ln p [windows, steps], and the positions kept [windows, layers, K/V heads, cache], ascending."""
    point = Point("smollm2", None)
    attention = bench.evicting(point, policy, cache)
    losses = bench.losses(point, bench.scaled(point, attention))
    kept = np.stack([slots.positions[:, :, :cache] for slots in attention.slots], axis=1)
    return losses, np.sort(kept, axis=-1)


def theirs(model: Any, windows: np.ndarray, prompt: int, name: str, cache: int) -> tuple[np.ndarray, np.ndarray]:
    """The same by kvpress."""
    import kvpress
    import torch
    from transformers import DynamicCache

    kind, arguments = PRESSES[name]
    losses, kept = [], []
    for text in windows:
        ids = torch.tensor(text)
        press = getattr(kvpress, kind)(compression_ratio=1 - cache / prompt, **arguments)
        chosen: list[np.ndarray] = []
        score = press.score

        def spy(*args: Any, score: Any = score, chosen: list[np.ndarray] = chosen, **kwargs: Any) -> Any:
            scores = score(*args, **kwargs)
            chosen.append(np.sort(scores.topk(cache, dim=-1).indices[0].numpy(), axis=-1))
            return scores

        press.score = spy
        past = DynamicCache()
        with torch.no_grad():
            with press(model):
                model(ids[None, :prompt], past_key_values=past)
            assert past.get_seq_length() == cache, "kvpress kept another number of tokens"
            at = torch.arange(prompt, len(ids) - 1)[None]
            logits = model(ids[None, prompt:-1], past_key_values=past, position_ids=at).logits[0]
        losses.append(cross_entropy(logits.numpy(), text[prompt + 1:]))
        kept.append(np.stack(chosen))
    return np.stack(losses), np.stack(kept)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The part of positions [..., cache] that both have."""
    rows = zip(a.reshape(-1, a.shape[-1]).tolist(), b.reshape(-1, b.shape[-1]).tolist(), strict=True)
    return float(np.mean([len(set(x) & set(y)) / len(x) for x, y in rows]))


def compare(windows: int, context: int, steps: int, cache: int) -> dict[str, Any]:
    """Losses of both, and which part of the tokens kept they share."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    bench, about = language_bench(EIGHTH, None, windows, context, steps)
    file = default_file()
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, attn_implementation="eager").eval()
    rows = {}
    for name in PRESSES:
        mine, kept = ours(bench, replace(EVICTIONS[name], steps="grow"), cache)
        other, chosen = theirs(model, bench.windows, bench.prompt, name, cache)
        rows[name] = {"ours": float(np.exp(mine.mean())), "kvpress": float(np.exp(other.mean())),
                      "overlap": overlap(kept, chosen), "least": min(map(overlap, kept, chosen))}
        print(f"{name:10}  ours {rows[name]['ours']:.4f}  kvpress {rows[name]['kvpress']:.4f}  "
              f"same tokens {rows[name]['overlap']:.3%}", flush=True)
    dense = bench.measure(Point("smollm2", None))["perplexity"]
    print(f"{'dense':10}  ours {dense:.4f}")
    return {**about, "cache": cache, "dense": dense, "policies": rows}


def main() -> int:
    """0; 1 if a policy keeps more than 1 of 1,000 other tokens than kvpress does, or comes to another perplexity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--cache", type=int, default=512)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    result = compare(args.windows, args.context, args.steps, args.cache)
    if args.output is not None:
        write_all([(args.output, (json.dumps(result, indent=1) + "\n").encode())])
    same = all(row["overlap"] > 0.999 and abs(row["ours"] / row["kvpress"] - 1) < 1e-3
               for row in result["policies"].values())
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
