"""The job fields of a workload file, read, checked and spread out over layers and steps."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..config import LSB_WIDTH, PLANE_WIDTHS
from ..errors import UserError
from .schedule import ScheduleError
from .schedule_fields import KEEPS, expand, read_schedule

Keep = int | None


class WorkloadError(UserError):
    """A workload or job file is wrong: one line with file, key, rule and remedy."""

    def __init__(self, source: str, key: str, rule: str, remedy: str):
        self.key = key
        super().__init__(" ".join(f"{source}: {key}: {rule}; {remedy}".split()))


@dataclass(frozen=True)
class Shape:
    """Sizes of a workload's arrays."""

    layers: int
    query_heads: int
    kv_heads: int
    queries: int
    tokens: int
    dim: int

    @property
    def group(self) -> int:
        return self.query_heads // self.kv_heads

    def length(self, step: int, generate: bool, real_tokens: int) -> int:
        """Tokens that exist in this step; padding, beyond `real_tokens`, is not a token."""
        return min(real_tokens, self.tokens - self.queries + step + 1) if generate else real_tokens


@dataclass(frozen=True)
class JobOptions:
    """The checked job. `keep_tokens`, `keep_heads`, `keep_values`: [step][layer]; None keeps all.

    Widths are (msb, lsb); Q is always fetched whole, so `q_bits` is one number. `real_tokens` is the padding
    length (tokens, when there is no padding).
    """

    generate: bool
    q_bits: int
    k_bits: tuple[int, int]
    v_bits: tuple[int, int]
    threshold: float
    keep_tokens: tuple[tuple[Keep, ...], ...]
    keep_heads: tuple[tuple[Keep, ...], ...]
    keep_values: tuple[tuple[Keep, ...], ...]
    protect_first: int
    protect_last: int
    causal: bool
    real_tokens: int

    @property
    def threshold_code(self) -> int:
        """The threshold in units of 2^-12."""
        return round(self.threshold * 4096)


DEFAULTS: dict[str, object] = {
    "stage": "summarise", "q_bits": 12, "k_bits": [12, 0], "v_bits": [12, 0], "threshold": 0.0,
    "keep_tokens": None, "keep_heads": None, "keep_values": None, "protect_first": 0, "protect_last": 0,
    "mask": "none", "schedule": None,
}


def load_json(text: str, source: str) -> dict[str, object]:
    """The raw job fields of a JSON text."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise WorkloadError(source, "job", f"is not valid JSON ({e})", "write a JSON object") from None
    return _mapping(raw, source)


def load_toml(path: Path) -> dict[str, object]:
    """The raw job fields of a TOML file."""
    try:
        return _mapping(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as e:
        raise WorkloadError(str(path), "file", f"cannot be read ({e.strerror})",
                            "give a readable TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as e:
        raise WorkloadError(str(path), "file", f"is not valid TOML ({e})", "correct it") from None


def _mapping(raw: object, source: str) -> dict[str, object]:
    if not isinstance(raw, Mapping):
        raise WorkloadError(source, "job", f"is a {type(raw).__name__}", "write an object of job fields")
    return dict(raw)


def _is_int(x: object) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


def _show(x: object) -> str:
    text = repr(x)
    return text if len(text) <= 40 else text[:37] + "..."


class _Reader:
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

    def threshold(self) -> float:
        x = self.raw["threshold"]
        if not isinstance(x, (int, float)) or isinstance(x, bool) or not math.isfinite(x) or not 0 <= x <= 1:
            raise self.bad("threshold", f"is {_show(x)}, must be a number 0 … 1", "use 0 for no LSB refetch")
        return float(x)

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

    def per_step(self, key: str, generate: bool, high: int) -> tuple[tuple[Keep, ...], ...]:
        """Per step and layer; in generation one list may serve all steps."""
        value = self.raw[key]
        steps = self.shape.queries if generate else 1
        if not isinstance(value, (list, tuple)) or not any(isinstance(x, (list, tuple)) for x in value):
            return (self.per_layer(key, value, high),) * steps
        if not generate:
            raise self.bad(key, "has a list per step", 'only stage "generate" has steps: give one list')
        if len(value) != steps:
            raise self.bad(key, f"has {len(value)} lists for {steps} steps", "give one list per step")
        return tuple(self.per_layer(key, v, high) for v in value)

    def expand_schedule(self, generate: bool, real_tokens: int) -> None:
        """Puts the counts of the table `schedule`, if there is one, into the fields they stand for."""
        table, s = self.raw["schedule"], self.shape
        if table is None:
            return
        both = [f"job.{key}" for key in KEEPS if self.raw[key] is not None]
        if both:
            raise self.bad("schedule", f"is given beside {', '.join(both)}", "leave out one or the other")
        lengths = [s.length(step, generate, real_tokens) for step in range(s.queries if generate else 1)]
        protected = self.count("protect_first", s.tokens) + self.count("protect_last", s.tokens)
        try:
            schedule = read_schedule(table)
            self.raw.update(expand(schedule, s.layers, lengths, s.kv_heads, protected, generate))
        except ScheduleError as e:
            raise self.bad("schedule", str(e), "docs/workloads.md describes every kind") from None


def parse_options(raw: Mapping[str, object], shape: Shape, source: str) -> JobOptions:
    """The checked job for arrays of `shape`. `source` names the file in complaints."""
    r = _Reader(raw, shape, source)
    generate = r.stage()
    if not generate and shape.queries != shape.tokens:
        raise r.bad("stage", f"is summarise, but there are {shape.queries} queries and {shape.tokens} tokens",
                    'make them equal or use "generate"')
    if shape.queries > shape.tokens:
        raise r.bad("stage", f"is generate with {shape.queries} queries but only {shape.tokens} tokens",
                    "give at least one token per query")
    causal, real = r.mask()
    r.expand_schedule(generate, real)
    q_msb, q_lsb = r.widths("q_bits")
    return JobOptions(
        generate=generate, q_bits=q_msb + q_lsb, k_bits=r.widths("k_bits"), v_bits=r.widths("v_bits"),
        threshold=r.threshold(),
        keep_tokens=r.per_step("keep_tokens", generate, shape.tokens),
        keep_heads=r.per_step("keep_heads", generate, shape.kv_heads),
        keep_values=r.per_step("keep_values", generate, shape.tokens),
        protect_first=r.count("protect_first", shape.tokens),
        protect_last=r.count("protect_last", shape.tokens),
        causal=causal, real_tokens=real,
    )
