"""Functional coverage: which combinations of a job's options the simulations were given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

#: MSB and LSB widths of K and V that the format knows, by the operand width that they need.
PROGRESSIVE = tuple((msb, 4) for msb in (4, 6, 8, 10, 12))
STATIC = tuple((bits, 0) for bits in (4, 6, 8, 10, 12, 14, 16))
WIDTHS = PROGRESSIVE + STATIC
STAGES, MASKS, GROUPS = ("summarise", "generate"), ("none", "causal"), ("1", "2 and more")
PRUNINGS = ("none", "tokens", "heads", "values", "tokens heads", "tokens values", "heads values", "tokens heads values")


def features(entry: Mapping[str, Any]) -> dict[str, str]:
    """What kind of job a line of the log (`sim/harness/job_log.py`) is."""
    job = entry["job"]
    pruned = [kind for kind, keep, all_ in (
        ("tokens", job["keep_tokens"], job["tokens"]), ("heads", job["keep_heads"], job["heads"]),
        ("values", job["keep_values"], job["tokens"])) if keep < all_]
    return {
        "D": str(job["dim"]), "K": f"{job['k_msb']}+{job['k_lsb']}", "V": f"{job['v_msb']}+{job['v_lsb']}",
        "stage": STAGES[job["generate"]], "mask": MASKS[job["causal"]],
        "group": GROUPS[min(1, job["group"] - 1)] if job["group"] else "none",
        "pruning": " ".join(pruned) or "none", "state": _state(job),
    }


def _state(job: Mapping[str, int]) -> str:
    used = [name for name in ("load_ids", "load_scores", "store_ids", "store_scores") if job[name]]
    return " ".join(used) or "none"


#: What is crossed with what, and the bins that there are. Generation has no mask.
CROSSES: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = {
    ("K",): tuple((f"{m}+{n}",) for m, n in WIDTHS),
    ("V",): tuple((f"{m}+{n}",) for m, n in WIDTHS),
    ("D", "K"): tuple(product(("8", "16", "32"), (f"{m}+{n}" for m, n in WIDTHS))),
    ("D", "V"): tuple(product(("8", "16", "32"), (f"{m}+{n}" for m, n in WIDTHS))),
    ("D", "stage", "group"): tuple(product(("8", "16", "24", "32"), STAGES, GROUPS)),
    ("stage", "mask", "pruning"): tuple(
        (s, m, p) for s, m, p in product(STAGES, MASKS, PRUNINGS) if (s, m) != ("generate", "causal")),
    ("stage", "group", "pruning"): tuple(product(STAGES, GROUPS, PRUNINGS)),
}


def counted(entries: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], Counter]:
    """Jobs by bin, for every cross. Jobs outside all bins (they are refused) are not counted."""
    found: dict[tuple[str, ...], Counter] = {cross: Counter() for cross in CROSSES}
    bins = {cross: set(all_) for cross, all_ in CROSSES.items()}
    for entry in entries:
        known = features(entry)
        for cross, counter in found.items():
            place = tuple(known[name] for name in cross)
            if place in bins[cross]:
                counter[place] += 1
    return found
