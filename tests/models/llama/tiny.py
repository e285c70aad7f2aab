"""A tiny Llama in a GGUF file, with a tokenizer of bytes and a few merges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType

from spatten_hw.sim.models.llama.model import Llama, random_llama

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def byte_letters() -> list[str]:
    """The letters by which byte-level BPE writes the 256 bytes (GPT-2's)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(n) if n in printable else chr(next(others)) for n in range(256)]


MERGES = ("t h", "th e", "a n")
VOCABULARY = (*SPECIAL, *byte_letters(), "th", "the", "an")


def tiny_model(seed: int = 5) -> Llama:
    return random_llama(seed, vocabulary=len(VOCABULARY), context=512)


def write_gguf(path: Path, model: Llama, *, architecture: str = "llama", leave_out: str = "", pre: str = "smollm",
               kind: str = "gpt2") -> Path:
    """`model` as a file; `leave_out`: a weight that is not written."""
    a = model.architecture
    writer = GGUFWriter(path, architecture)
    writer.add_name("a tiny one")
    writer.add_context_length(a.context)
    writer.add_embedding_length(a.hidden)
    writer.add_block_count(a.layers)
    writer.add_feed_forward_length(a.inner)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(a.kv_heads)
    writer.add_rope_freq_base(a.rope_base)
    writer.add_layer_norm_rms_eps(a.eps)
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(list(VOCABULARY))
    writer.add_token_types([TokenType.CONTROL] * len(SPECIAL) + [TokenType.NORMAL] * (len(VOCABULARY) - len(SPECIAL)))
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(2)
    for name, weights in model.weights.items():
        if name != leave_out:
            writer.add_tensor(name, np.ascontiguousarray(weights))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
