"""The job fields of a workload file, checked one by one (`docs/workloads.md`)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...config import LSB_WIDTH, PLANE_WIDTHS
from ...interface.descriptor import MOST_QUERIES
from ..rules import Rules
from .options import Keep, Shape, WorkloadError
from .schedule import ScheduleError
from .schedule_fields import KEEPS, expand, read_schedule

DEFAULTS: dict[str, object] = {
    "stage": "summarise", "q_bits": 12, "k_bits": [12, 0], "v_bits": [12, 0], "threshold": 0.0,
    "keep_tokens": None, "keep_heads": None, "keep_values": None, "protect_first": 0, "protect_last": 0,
    "mask": "none", "schedule": None, "lsb_margin": None, "keep_mass": None, "give_back": False,
    "queries": None,
}



def _is_int(x: object) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


def _show(x: object) -> str:
    text = repr(x)
    return text if len(text) <= 40 else text[:37] + "..."


class FieldReader:
    """Checks raw fields one by one; every complaint names the source and the field."""

    def __init__(self, raw: Mapping[str, object], shape: Shape, source: str):
        unknown = sorted(set(raw) - set(DEFAULTS), key=str)
        if unknown:
            raise WorkloadError(source, f"job.{unknown[0]}", "is not a job field",
                                f"use one of {', '.join(DEFAULTS)}")
        self.raw = {**DEFAULTS, **raw}
        self.shape = shape
        self.source = source

    def bad(self, key: str, rule: str, remedy: str) -> WorkloadError:
        return WorkloadError(self.source, f"job.{key}", rule, remedy)

    def stage(self) -> bool:
        x = self.raw["stage"]
        if x not in ("summarise", "generate"):
            raise self.bad("stage", f"is {_show(x)}", 'use "summarise" or "generate"')
        return x == "generate"

    def count(self, key: str, high: int) -> int:
        x = self.raw[key]
        if not isinstance(x, int) or isinstance(x, bool) or not 0 <= x <= high:
            raise self.bad(key, f"is {_show(x)}, must be a whole number 0 … {high}", "choose one in range")
        return x

    def queries(self, generate: bool) -> int | None:
        """Queries of each generation job; None: one per job."""
        x, most = self.raw["queries"], min(self.shape.queries, MOST_QUERIES)
        if x is None:
            return None
        if not _is_int(x) or not 1 <= x <= most:  # type: ignore[operator]
            raise self.bad("queries", f"is {_show(x)}, must be null or a whole number 1 … {most}",
                           "choose one in range")
        if not generate:
            raise self.bad("queries", 'is given, but stage is "summarise", where every token is a query',
                           'leave it out, or use "generate"')
        if isinstance(self.raw["mask"], int):
            raise self.bad("queries", "is given beside a mask that pads", "leave out one or the other")
        return x  # type: ignore[return-value]

    def check_queries(self, queries: int | None, keep_tokens: tuple[tuple[Keep, ...], ...], protect_last: int) -> None:
        """Tokens that are queries are never pruned."""
        if queries and queries > protect_last and any(n is not None for layers in keep_tokens for n in layers):
            raise self.bad("queries", f"is {queries}, but protect_last is {protect_last} while tokens are pruned",
                           "protect the tokens that are queries")

    def threshold(self) -> float:
        x = self.raw["threshold"]
        if not isinstance(x, (int, float)) or isinstance(x, bool) or not math.isfinite(x) or not 0 <= x <= 1:
            raise self.bad("threshold", f"is {_show(x)}, must be a number 0 … 1", "use 0 for no LSB refetch")
        return float(x)

    def rules(self, generate: bool, k_lsb: int) -> Rules:
        rules = Rules(*(self.raw[key] for key in ("lsb_margin", "keep_mass", "give_back")))  # type: ignore[arg-type]
        for key, rule, remedy in rules.broken(k_lsb):
            raise self.bad(key, rule, remedy)
        if rules.lsb_margin is not None and not generate:
            raise self.bad("lsb_margin", 'is given, but stage is "summarise", where LSBs are read once for all queries',
                           'leave it out, or use "generate"')
        return rules

    def widths(self, key: str) -> tuple[int, int]:
        x = self.raw[key]
        pair = [x, 0] if _is_int(x) else x
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(_is_int(p) for p in pair):
            raise self.bad(key, f"is {_show(x)}", "give a width or [msb, lsb]")
        msb, lsb = pair
        if msb not in PLANE_WIDTHS:
            raise self.bad(key, f"has {msb} MSBs, must be one of {PLANE_WIDTHS}", "use 12 (paper)")
        if lsb not in (0, LSB_WIDTH):
            raise self.bad(key, f"has {lsb} LSBs, must be 0 or {LSB_WIDTH}", "use for example [8, 4]")
        if msb + lsb > max(PLANE_WIDTHS):
            raise self.bad(key, f"is {msb + lsb} bits wide, at most {max(PLANE_WIDTHS)}", "use fewer MSBs")
        return msb, lsb

    def mask(self) -> tuple[bool, int]:
        x, tokens = self.raw["mask"], self.shape.tokens
        if isinstance(x, int) and not isinstance(x, bool):
            if not 1 <= x <= tokens:
                raise self.bad("mask", f"is {x}, but there are {tokens} tokens", f"use 1 … {tokens}")
            return False, x
        if x not in ("none", "causal"):
            raise self.bad("mask", f"is {_show(x)}", 'use "none", "causal" or the number of real tokens')
        return x == "causal", tokens

    def per_layer(self, key: str, value: object, high: int) -> tuple[Keep, ...]:
        """One count or null per layer; TOML, which has no null, says "all"."""
        layers = self.shape.layers
        if value is None or value == "all":
            return (None,) * layers
        if not isinstance(value, (list, tuple)) or len(value) != layers:
            raise self.bad(key, f"is {_show(value)}, must be null or one entry per layer ({layers})",
                           "give a list of counts or nulls")
        counts: list[Keep] = []
        for layer, n in enumerate(value):
            if n is None or n == "all":
                counts.append(None)
            elif not _is_int(n) or not 1 <= n <= high:
                raise self.bad(key, f"is {_show(n)} at layer {layer}, must be 1 … {high} or null",
                               "choose a count in range")
            else:
                counts.append(n)
        return tuple(counts)

    def per_step(self, key: str, generate: bool, high: int, per_job: int = 1) -> tuple[tuple[Keep, ...], ...]:
        """Per step and layer; in generation one list may serve all steps."""
        value = self.raw[key]
        steps = self.shape.steps(per_job) if generate else 1
        if not isinstance(value, (list, tuple)) or not any(isinstance(x, (list, tuple)) for x in value):
            return (self.per_layer(key, value, high),) * steps
        if not generate:
            raise self.bad(key, "has a list per step", 'only stage "generate" has steps: give one list')
        if len(value) != steps:
            raise self.bad(key, f"has {len(value)} lists for {steps} steps", "give one list per step")
        return tuple(self.per_layer(key, v, high) for v in value)

    def expand_schedule(self, generate: bool, real_tokens: int, per_job: int = 1) -> None:
        """Puts the counts of the table `schedule`, if there is one, into the fields they stand for."""
        table, s = self.raw["schedule"], self.shape
        if table is None:
            return
        both = [f"job.{key}" for key in KEEPS if self.raw[key] is not None]
        if both:
            raise self.bad("schedule", f"is given beside {', '.join(both)}", "leave out one or the other")
        steps = s.steps(per_job) if generate else 1
        lengths = [s.length(step, generate, real_tokens, per_job) for step in range(steps)]
        protected = self.count("protect_first", s.tokens) + self.count("protect_last", s.tokens)
        try:
            schedule = read_schedule(table)
            self.raw.update(expand(schedule, s.layers, lengths, s.kv_heads, protected, generate))
        except ScheduleError as e:
            raise self.bad("schedule", str(e), "docs/workloads.md describes every kind") from None
