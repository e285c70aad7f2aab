"""Tiny models with random weights, made without any download: the same weights with "eager" and with "spatten"."""

from __future__ import annotations

import copy
from typing import Any

import torch
import transformers as hf

from spatten_hw.sim.models.huggingface import register

VOCABULARY = 50
COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY, "intermediate_size": 64, "num_hidden_layers": 3, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}

#: Types without grouped-query attention.
ONE_TO_ONE = ("bert", "albert", "roberta", "electra", "opt", "gpt_neox", "falcon")
ENCODERS = ("bert", "albert", "roberta", "electra")


def config(name: str, **changes: Any) -> hf.PreTrainedConfig:
    """The configuration of "bert", "gpt2", "llama" (two query heads per K/V head) or another type of the same size."""
    if name == "gpt2":
        return hf.GPT2Config(vocab_size=VOCABULARY, n_embd=64, n_layer=3, n_head=2, n_positions=64, bos_token_id=0,
                             eos_token_id=0, pad_token_id=0, **changes)
    sizes = {"hidden_size": 64, "num_attention_heads": 2} if name in ONE_TO_ONE else {
        "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
    return hf.AutoConfig.for_model(name, **{**COMMON, **sizes, **changes})


def model(of: hf.PreTrainedConfig, attention: str, seed: int = 0, head: bool | None = None) -> Any:
    """A model in evaluation mode. Decoders have their language-model head. Larger weights than the default, so that
    attention is not flat."""
    register()
    torch.manual_seed(seed)
    decoder = of.model_type not in ENCODERS if head is None else head
    made = (hf.AutoModelForCausalLM if decoder else hf.AutoModel).from_config(
        copy.deepcopy(of), attn_implementation=attention).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if any(part in name for part in ("query", "key", "q_proj", "k_proj", "c_attn")):
                weight.mul_(4 if decoder else 12)
    return made


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    """Random token ids without the padding's."""
    return torch.randint(1, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


def padding(kind: str, length: int) -> torch.Tensor:
    """The padding mask of two sequences, the second of which is shorter by 3 on one side ("none": by nothing)."""
    mask = torch.ones(2, length, dtype=torch.long)
    if kind == "left":
        mask[1, :3] = 0
    if kind == "right":
        mask[1, -3:] = 0
    return mask
