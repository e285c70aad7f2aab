"""A tiny NanoGuard as a checkpoint of PyTorch and a pickled tokenizer of bytes and a few merges."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.sim.models.nanoguard.model import NanoGuard, random_nanoguard
from spatten_hw.sim.models.nanoguard.tokenizer import BEGIN

MERGES = (b"th", b"the", b"an")
SPECIAL = {BEGIN: 300, "<|reserved_1|>": 301}
PATTERN = r"\p{L}+|\p{N}{1,2}|\s+|[^\s\p{L}\p{N}]+"
#: Not all weights are of one kind in the package's file either.
FLOAT32 = ("resid_lambdas", "x0_lambdas", "cls_norm.weight", "cls_norm.bias", "cls_head.weight", "cls_head.bias")


def tiny_model(seed: int = 5, layers: int = 2, heads: int = 2, dim: int = 16, context: int = 48) -> NanoGuard:
    return random_nanoguard(seed, layers, heads, dim, context, vocabulary=302)


def write_checkpoint(path: Path, model: NanoGuard, *, leave_out: str = "", **config: Any) -> Path:
    """`model` with all but `FLOAT32` in bfloat16; `config`: fields that differ."""
    import torch

    a = model.architecture
    fields = {"sequence_len": a.context, "vocab_size": a.vocabulary, "n_layer": a.layers, "n_head": a.heads,
              "n_kv_head": a.heads, "n_embd": a.hidden, "num_classes": 2, "dropout": 0.1, **config}
    weights = {name: torch.tensor(np.asarray(x)).to(torch.float32 if name in FLOAT32 else torch.bfloat16)
               for name, x in model.weights.items() if name != leave_out}
    torch.save({"model_state_dict": weights, "config": fields, "metrics": {"val_f1": 0.5}}, path)
    return path


def write_tokenizer(path: Path, special: dict[str, int] | None = None) -> Path:
    import tiktoken

    ranks = {bytes([n]): n for n in range(256)} | {text: 256 + n for n, text in enumerate(MERGES)}
    table = tiktoken.Encoding("tiny", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special or SPECIAL)
    path.write_bytes(pickle.dumps(table))
    return path


def write_files(folder: Path, model: NanoGuard) -> tuple[Path, Path]:
    """Weights and tokenizer, as `package.default_files` gives them."""
    return write_checkpoint(folder / "model.pt", model), write_tokenizer(folder / "tokenizer.pkl")
