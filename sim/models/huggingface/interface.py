"""What transformers calls: the attention and the mask function called "spatten", and which context answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spatten_hw.errors import UserError

from .masks import MaskRefused, full_mask
from .refusals import EMPTY, refused

if TYPE_CHECKING:
    from .adapter import SpAttenAttention

#: What models say: `AutoModel.from_config(config, attn_implementation="spatten")`.
NAME = "spatten"

_open: list[SpAttenAttention] = []


def register() -> None:
    """Makes "spatten" known to transformers: attention and masks. Models can be made from then on, but run only inside
    a `SpAttenAttention`. Doing it again changes nothing."""
    try:
        import torch  # noqa: F401
        from transformers import AttentionInterface, AttentionMaskInterface
    except ImportError as e:
        raise UserError(f"Hugging Face models need torch and transformers ({e}): "
                        "pip install 'spatten-hw[huggingface]'") from None
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _mask)


def open_context(context: SpAttenAttention) -> None:
    """Makes `context` the one that models run on."""
    if _open:
        raise UserError("another SpAttenAttention is open: close it first")
    _open.append(context)


def close_context(context: SpAttenAttention) -> None:
    """Models run on nothing any more."""
    _open.remove(context)


def _current() -> SpAttenAttention:
    if not _open:
        raise UserError(f'attn_implementation="{NAME}" needs an engine: run it inside "with SpAttenAttention(…):"')
    return _open[-1]


def _attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None,
               dropout: float = 0.0, **kwargs: Any) -> tuple[Any, None]:
    """Of transformers' attention interface: [batch, queries, query_heads, D], no weights."""
    return _current().attend(module, query, key, value, attention_mask, scaling, {**kwargs, "dropout": dropout}), None


def _mask(*args: Any, config: Any = None, **kwargs: Any) -> Any:
    """Of transformers' mask interface; a forward pass begins with it."""
    _current().begin(config)
    try:
        return full_mask(*args, **kwargs)
    except MaskRefused as e:
        raise refused(getattr(config, "model_type", "model"), str(e), EMPTY) from None


def mask_array(mask: Any) -> np.ndarray | None:
    """A mask tensor as numpy has it, which knows no bfloat16."""
    if mask is None:
        return None
    mask = mask.detach().cpu()
    return (mask.float() if mask.is_floating_point() else mask).numpy()
