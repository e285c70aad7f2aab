"""What a mask means: which tokens are real, and whether they see later ones.

Transformers asks a registered mask function for the mask of a forward pass. Ours returns it in full, a boolean
[batch, 1, queries, keys], where others return None for "causal, as you know": so nothing has to be guessed. All that a
job can express is accepted: padding at any place, each real query seeing all real keys, or those up to its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Additive masks write what is hidden as a large negative number (the least of their type, or −10,000).
HIDDEN = -1e4


class MaskRefused(ValueError):
    """The mask says something that a job cannot express; the text is the reason."""


@dataclass(frozen=True)
class View:
    """One sequence's part of a mask. `keys`: ascending places of its real tokens among the keys; `step`: a pass on a
    filled cache, whose queries are the last of them, else a prompt with a query per key; `causal`: each query sees the
    tokens up to its own. `rows`: places of a step's queries, without padding, among those of the pass."""

    keys: tuple[int, ...]
    step: bool
    causal: bool
    rows: tuple[int, ...] = (0,)

    @property
    def queries(self) -> int:
        """Queries of a step."""
        return len(self.rows)

    @property
    def cached(self) -> int:
        """Real tokens of a step that were there before it."""
        return len(self.keys) - self.queries

    @property
    def in_blocks(self) -> View:
        """This causal prompt as a step on an empty cache."""
        return View(self.keys, True, True, self.keys)


def full_mask(batch_size: int, q_length: int, kv_length: int, **kwargs: Any) -> Any:
    """The mask function for transformers' mask interface: its own boolean mask, never left out. Raises `MaskRefused`
    where there is nothing to compute, which models fail at later, with errors that do not say so."""
    from transformers.masking_utils import sdpa_mask

    if not batch_size or not q_length:
        raise MaskRefused(f"it is given no token (a batch of {batch_size} with {q_length} tokens)")
    kwargs |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    return sdpa_mask(batch_size, q_length, kv_length, **kwargs)


def as_bool(mask: np.ndarray, batch: int, queries: int, keys: int) -> np.ndarray:
    """Boolean [batch, queries, keys] of a 4-D mask, boolean or additive (0 seen, very negative hidden)."""
    if mask.ndim != 4 or mask.shape[0] not in (1, batch) or mask.shape[2] not in (1, queries) or mask.shape[3] < keys:
        raise MaskRefused(f"its mask has shape {list(mask.shape)} for {queries} queries and {keys} keys")
    mask = mask[..., :keys]
    if mask.dtype != bool:
        seen = mask == 0
        if not np.all(seen | (mask <= HIDDEN)):
            raise MaskRefused("its mask adds a bias to the scores (such as ALiBi or relative positions)")
        mask = seen
    if not np.all(mask == mask[:, :1]):
        raise MaskRefused("its mask differs from head to head")
    return np.broadcast_to(mask[:, 0], (batch, queries, keys))


def views(mask: np.ndarray | None, batch: int, queries: int, keys: int, causal: bool) -> list[View]:
    """The view of every sequence; without a mask all is seen, or what is not later if `causal`.

    Raises `MaskRefused`.
    """
    if mask is None:
        if queries > 1 and queries != keys:
            raise MaskRefused(f"it has no mask, {queries} queries and {keys} keys")
        seen = np.tri(keys, dtype=bool) if causal and queries > 1 else np.ones((queries, keys), dtype=bool)
        return [_view(seen)] * batch
    return [_view(m) for m in as_bool(mask, batch, queries, keys)]


def _view(seen: np.ndarray) -> View:
    """The view of a boolean [queries, keys]."""
    keys = np.flatnonzero(seen.any(axis=0))
    if not len(keys):
        raise MaskRefused("its mask hides all tokens of a sequence")
    places = tuple(keys.tolist())
    if len(seen) == 1 and len(keys) > 1:
        return View(places, True, False)
    if len(seen) == 1:
        return View(places, False, False)
    if keys[-1] >= len(seen):
        return View(places, True, True, _own_rows(seen[:, keys]))
    real = seen[np.ix_(keys, keys)]
    if real.all():
        return View(places, False, False)
    if np.array_equal(real, np.tri(len(keys), dtype=bool)):
        return View(places, False, True)
    raise MaskRefused("its mask is neither causal nor padding alone (a sliding window, chunks, packed sequences)")


def _own_rows(seen: np.ndarray) -> tuple[int, ...]:
    """The real queries of several that follow a cache, by a boolean [queries, real keys]: each sees one key more than
    the one before, the last all. A query of padding sees nothing or what the one before it sees."""
    rows: list[int] = []
    last = 0
    for place, row in enumerate(seen):
        count = int(row.sum())
        if not row[:count].all() or (rows and count not in (0, last, last + 1)):
            raise MaskRefused("several queries at once follow a KV cache, and its mask is neither causal nor padding "
                              "alone (a sliding window, chunks, packed sequences, a tree of guesses)")
        if count and (not rows or count == last + 1):
            rows.append(place)
            last = count
    if last != seen.shape[1]:
        raise MaskRefused("several queries at once follow a KV cache, and the last one does not see all tokens")
    return tuple(rows)
