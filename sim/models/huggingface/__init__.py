"""Hugging Face models with `attn_implementation="spatten"`: attention on the golden model (`docs/huggingface.md`).

Needs the extra `huggingface` (torch, transformers), but only when a `SpAttenAttention` is opened.

May import: config, errors, host, host.workload, output, presets, sim, sim.golden.
"""

from .adapter import SpAttenAttention
from .interface import register
from .options import AttentionOptions

__all__ = ["AttentionOptions", "SpAttenAttention", "register"]
