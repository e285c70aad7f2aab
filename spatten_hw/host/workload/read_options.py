"""Reads job fields from JSON, TOML or Python into a checked job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from spatten_hw.user_text import parse_toml, read_bytes

from .option_fields import FieldReader
from .options import JobOptions, Shape, WorkloadError


def load_json(text: str, source: str) -> dict[str, object]:
    """The raw job fields of a JSON text."""
    try:
        # json reports a byte-order mark as an error in the first character.
        raw = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as e:
        raise WorkloadError(source, "job", f"is not valid JSON ({e})", "write a JSON object") from None
    return _mapping(raw, source)


def load_toml(path: Path) -> dict[str, object]:
    """The raw job fields of a TOML file."""
    try:
        return parse_toml(read_bytes(path))
    except OSError as e:
        raise WorkloadError(str(path), "file", f"cannot be read ({e.strerror})",
                            "give a readable TOML file") from None
    except ValueError as e:
        raise WorkloadError(str(path), "file", str(e), "correct it") from None


def _mapping(raw: object, source: str) -> dict[str, object]:
    if not isinstance(raw, Mapping):
        raise WorkloadError(source, "job", f"is a {type(raw).__name__}", "write an object of job fields")
    return dict(raw)


def parse_options(raw: Mapping[str, object], shape: Shape, source: str) -> JobOptions:
    """The checked job for arrays of `shape`. `source` names the file in complaints."""
    r = FieldReader(raw, shape, source)
    generate = r.stage()
    if not generate and shape.queries != shape.tokens:
        raise r.bad("stage", f"is summarise, but there are {shape.queries} queries and {shape.tokens} tokens",
                    'make them equal or use "generate"')
    if shape.queries > shape.tokens:
        raise r.bad("stage", f"is generate with {shape.queries} queries but only {shape.tokens} tokens",
                    "give at least one token per query")
    causal, real = r.mask()
    queries = r.queries(generate)
    r.expand_schedule(generate, real, queries or 1)
    keep_tokens = r.per_step("keep_tokens", generate, shape.tokens, queries or 1)
    protect_last = r.count("protect_last", shape.tokens)
    r.check_queries(queries, keep_tokens, protect_last)
    q_msb, q_lsb = r.widths("q_bits")
    k_bits = r.widths("k_bits")
    return JobOptions(
        generate=generate, q_bits=q_msb + q_lsb, k_bits=k_bits, v_bits=r.widths("v_bits"),
        threshold=r.threshold(),
        keep_tokens=keep_tokens,
        keep_heads=r.per_step("keep_heads", generate, shape.kv_heads, queries or 1),
        keep_values=r.per_step("keep_values", generate, shape.tokens, queries or 1),
        protect_first=r.count("protect_first", shape.tokens),
        protect_last=protect_last,
        causal=causal, real_tokens=real, rules=r.rules(generate, k_bits[1]), queries=queries,
    )
