"""The rules that a job must obey, each written once, for hardware and host.

A rule is an expression over named fields that means the same for Python integers and for Amaranth values:
comparisons, `+`, `&`, `|`, `>>` by a constant only. `check` evaluates the rules on the fields a driver wants to encode;
`validator.py` makes one comparator from each. Fields that a job does not use (addresses of planes it does not
have, of state it does not load or store) may hold anything.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from types import SimpleNamespace
from typing import Any

from ..config import LSB_WIDTH, PLANE_WIDTHS, PROB_BITS, SpAttenConfig, clog2
from .descriptor import FIELDS, GIVE_BACK_SHIFT, HEADER_WORDS, SCALE_FIELDS, SCALE_WORDS, STRIDE_BITS, Field, fields_of
from .errors import ErrorCode

#: Fields of a job (integers or values) by name; besides `FIELDS`: `query_heads` = heads · group and
#: `descriptor`, the descriptor's address.
Fields = Any


@dataclass(frozen=True)
class Rule:
    """`broken(config, fields)` is true for a job that must not run."""

    code: ErrorCode
    broken: Callable[[SpAttenConfig, Fields], Any]


#: A factor of a product.
Term = Callable[[SpAttenConfig, Fields], Any]


@dataclass(frozen=True)
class Range:
    """Bytes that must end inside a channel: Σ x·(y − less) of them from local address `base` on, `terms`:
    (x, y, less).

    Checked if `used`. `less` is 1 where y counts rows of stride x, 0 where x·y is a size. `no_channel` is true for an
    address of a channel that is not there.
    """

    code: ErrorCode
    used: Callable[[Fields], Any]
    base: Callable[[SpAttenConfig, Fields], Any]
    no_channel: Callable[[SpAttenConfig, Fields], Any]
    terms: tuple[tuple[Term, Term, int], ...]


def one_of(value: Any, choices: Iterable[int]) -> Any:
    """`value` is one of `choices`."""
    return reduce(operator.or_, (value == choice for choice in choices))


def _widths(msb: Any, lsb: Any) -> Any:
    return (one_of(msb, PLANE_WIDTHS) == 0) | (one_of(lsb, (0, LSB_WIDTH)) == 0)


def _sram(c: SpAttenConfig, f: Fields) -> Any:
    # A slice has ceil(tokens / S) rows of dim / chunk words.
    too_long = ((f.dim == d) & (f.tokens > c.slices * (c.sram_words // (d // c.chunk))) for d in c.dims)
    return (f.generate == 0) & reduce(operator.or_, too_long)


def _multiple(value: Any, size: int) -> Any:
    """`value` is not a multiple of the power of two `size`."""
    return (value & (size - 1)) != 0


def _state_align(c: SpAttenConfig) -> int:
    return max(8, c.beat_bytes)


def _rows(c: SpAttenConfig, f: Fields) -> Any:
    def bad(name: str) -> Any:
        return _multiple(getattr(f, f"{name}_base") | getattr(f, f"{name}_head_stride")
                         | getattr(f, f"{name}_token_stride"), c.beat_bytes)

    return (bad("q") | bad("k_msb") | bad("v_msb") | ((f.k_lsb != 0) & bad("k_lsb"))
            | ((f.v_lsb != 0) & bad("v_lsb")))


def _strides(f: Fields) -> Any:
    limit = 1 << STRIDE_BITS
    return ((f.q_token_stride >= limit) | (f.out_token_stride >= limit) | (f.k_msb_token_stride >= limit)
            | (f.v_msb_token_stride >= limit) | ((f.k_lsb != 0) & (f.k_lsb_token_stride >= limit))
            | ((f.v_lsb != 0) & (f.v_lsb_token_stride >= limit)))


def _causal(c: SpAttenConfig, f: Fields) -> Any:
    one_query = (f.causal != 0) & (f.generate != 0)
    return one_query & (f.queries == 0) if c.chunk_queries else one_query


RULES: tuple[Rule, ...] = (
    Rule(ErrorCode.BAD_DIM, lambda c, f: one_of(f.dim, c.dims) == 0),
    Rule(ErrorCode.BAD_Q_BITS, lambda c, f: one_of(f.q_bits, [w for w in PLANE_WIDTHS if w <= c.operand_bits]) == 0),
    Rule(ErrorCode.BAD_K_BITS, lambda c, f: _widths(f.k_msb, f.k_lsb)),
    Rule(ErrorCode.K_TOO_WIDE, lambda c, f: f.k_msb + f.k_lsb > c.operand_bits),
    Rule(ErrorCode.BAD_V_BITS, lambda c, f: _widths(f.v_msb, f.v_lsb)),
    Rule(ErrorCode.V_TOO_WIDE, lambda c, f: f.v_msb + f.v_lsb > c.operand_bits),
    Rule(ErrorCode.BAD_THRESHOLD, lambda c, f: f.threshold > 1 << PROB_BITS),
    Rule(ErrorCode.ZERO_HEADS, lambda c, f: f.heads == 0),
    Rule(ErrorCode.ZERO_GROUP, lambda c, f: f.group == 0),
    Rule(ErrorCode.GROUP_TOO_LARGE, lambda c, f: f.group > c.max_group),
    Rule(ErrorCode.TOO_MANY_HEADS, lambda c, f: f.query_heads > c.max_heads),
    Rule(ErrorCode.ZERO_TOKENS, lambda c, f: f.tokens == 0),
    Rule(ErrorCode.TOO_MANY_TOKENS, lambda c, f: f.tokens > c.max_tokens),
    Rule(ErrorCode.ZERO_KEEP_TOKENS, lambda c, f: f.keep_tokens == 0),
    Rule(ErrorCode.ZERO_KEEP_HEADS, lambda c, f: f.keep_heads == 0),
    Rule(ErrorCode.ZERO_KEEP_VALUES, lambda c, f: f.keep_values == 0),
    Rule(ErrorCode.PROTECTED_EXCEED_KEEP,
         lambda c, f: (f.keep_tokens < f.tokens) & (f.protect_first + f.protect_last > f.keep_tokens)),
    Rule(ErrorCode.CAUSAL_GENERATION, lambda c, f: _causal(c, f)),
    Rule(ErrorCode.RESTART_AND_LOAD, lambda c, f: (f.restart != 0) & (f.load_ids != 0)),
    Rule(ErrorCode.SRAM_OVERFLOW, _sram),
    Rule(ErrorCode.MISALIGNED_OUTPUT,
         lambda c, f: _multiple(f.out_base | f.out_head_stride | f.out_token_stride, c.beat_bytes)),
    Rule(ErrorCode.MISALIGNED_IDS_IN, lambda c, f: (f.load_ids != 0) & _multiple(f.ids_in, 8)),
    Rule(ErrorCode.MISALIGNED_IDS_OUT, lambda c, f: (f.store_ids != 0) & _multiple(f.ids_out, _state_align(c))),
    Rule(ErrorCode.MISALIGNED_SCORES_IN, lambda c, f: (f.load_scores != 0) & _multiple(f.scores_in, 8)),
    Rule(ErrorCode.MISALIGNED_SCORES_OUT,
         lambda c, f: (f.store_scores != 0) & _multiple(f.scores_out, _state_align(c))),
    Rule(ErrorCode.STRIDE_TOO_LARGE, lambda c, f: _strides(f)),
    Rule(ErrorCode.MISALIGNED_ROWS, _rows),
    Rule(ErrorCode.PROMPT_LSB_BY_KEY, lambda c, f: (f.lsb_by_key != 0) & (f.generate == 0)),
    Rule(ErrorCode.NO_LSB_BY_KEY, lambda c, f: (f.lsb_by_key != 0) & (f.k_lsb == 0)),
    Rule(ErrorCode.BAD_MASS_SHARE, lambda c, f: f.mass_share > 1 << PROB_BITS),
    Rule(ErrorCode.NO_DECISION_RULES, lambda c, f: (c.decision_rules == 0) & (
        (f.mass_share != 0) | (f.give_back != 0) | (f.lsb_by_key != 0))),
)

#: Rules of `queries`. A build without refuses the field itself: its bits have no meaning there.
CHUNK_RULES: tuple[Rule, ...] = (
    Rule(ErrorCode.PROMPT_QUERIES, lambda c, f: (f.queries != 0) & (f.generate == 0)),
    Rule(ErrorCode.QUERIES_EXCEED_TOKENS, lambda c, f: f.queries > f.tokens),
    Rule(ErrorCode.QUERIES_UNPROTECTED, lambda c, f: (f.keep_tokens < f.tokens) & (f.queries > f.protect_last)),
)


def rules_of(c: SpAttenConfig) -> tuple[Rule, ...]:
    """The rules that a build checks, in its order."""
    return RULES + CHUNK_RULES if c.chunk_queries else RULES


def _plane(code: ErrorCode, name: str, heads: str, bits: str, used: Callable[[Fields], Any]) -> Range:
    """A plane of rows of dim · width bits for each of `heads`, of which a channel has those of every C-th token. dim is
    a multiple of 4, widths are even, so the row's bytes are (dim / 4) · (width / 2)."""

    def places(c: SpAttenConfig, f: Fields) -> Any:  # those of a generation job have a row per query
        return (f.query_tokens if heads == "query_heads" else f.tokens) + (c.channels - 1) >> clog2(c.channels)

    return Range(code, used, lambda c, f: getattr(f, f"{name}_base"), lambda c, f: 0, (
        (lambda c, f: getattr(f, f"{name}_head_stride"), lambda c, f: getattr(f, heads), 1),
        (lambda c, f: getattr(f, f"{name}_token_stride"), places, 1),
        (lambda c, f: f.dim >> 2, lambda c, f: getattr(f, bits) >> 1 if bits else 8, 0),
    ))


def _words(code: ErrorCode, flag: str, base: str, words: Callable[[Fields], Any]) -> Range:
    return Range(code, lambda f: getattr(f, flag) if flag else 1,
                 lambda c, f: getattr(f, base) & ((1 << c.axi_addr_bits) - 1),
                 lambda c, f: getattr(f, base) >= 1 << c.addr_bits, ((lambda c, f: 8, lambda c, f: words(f), 0),))


def _survivors(f: Fields) -> Any:
    """Words of the survivors: their numbers, a bit for every token, a bit for every head."""
    return (f.tokens + 63 >> 6) + (f.heads + 63 >> 6) + 1


RANGES: tuple[Range, ...] = (
    _plane(ErrorCode.RANGE_Q, "q", "query_heads", "q_bits", lambda f: 1),
    _plane(ErrorCode.RANGE_K_MSB, "k_msb", "heads", "k_msb", lambda f: 1),
    _plane(ErrorCode.RANGE_K_LSB, "k_lsb", "heads", "k_lsb", lambda f: f.k_lsb != 0),
    _plane(ErrorCode.RANGE_V_MSB, "v_msb", "heads", "v_msb", lambda f: 1),
    _plane(ErrorCode.RANGE_V_LSB, "v_lsb", "heads", "v_lsb", lambda f: f.v_lsb != 0),
    _plane(ErrorCode.RANGE_OUTPUT, "out", "query_heads", "", lambda f: 1),
    _words(ErrorCode.RANGE_IDS_IN, "load_ids", "ids_in", _survivors),
    _words(ErrorCode.RANGE_IDS_OUT, "store_ids", "ids_out", _survivors),
    _words(ErrorCode.RANGE_SCORES_IN, "load_scores", "scores_in", lambda f: f.tokens + f.heads),
    _words(ErrorCode.RANGE_SCORES_OUT, "store_scores", "scores_out", lambda f: f.tokens + f.heads),
    _words(ErrorCode.RANGE_DESCRIPTOR, "", "descriptor",
           lambda f: f.query_heads * SCALE_WORDS + HEADER_WORDS),
)


def descriptor_address_bad(c: SpAttenConfig, addr: Any) -> Any:
    """The descriptor's header would not lie at a multiple of 8 inside a channel."""
    beyond = (addr & ((1 << c.axi_addr_bits) - 1)) > (1 << c.axi_addr_bits) - 8 * HEADER_WORDS
    return _multiple(addr, 8) | beyond | (addr >= 1 << c.addr_bits)


def reserved_mask(fields: Iterable[Field], word: int) -> int:
    """Bits of 64-bit word `word` that no field of `fields` covers: they must be 0."""
    used = sum(((1 << f.width) - 1) << f.lsb for f in fields if f.word == word)
    return ((1 << 64) - 1) & ~used


def check(c: SpAttenConfig, fields: Mapping[str, int], scales: Iterable[Mapping[str, int]] = (),
          descriptor: int = 0) -> list[ErrorCode]:
    """Every rule that the job breaks, in the order of the hardware, which reports only the first; empty: legal.

    `fields`: values by name of `FIELDS` (missing ones are 0), `scales`: one mapping per query head,
    `descriptor`: its address. A value that does not fit its field gives RESERVED_BITS, in `scales` BAD_SCALE.
    """
    values = {f.name: int(fields.get(f.name, 0)) for f in FIELDS}
    known = {f.name for f in fields_of(c)}
    f = SimpleNamespace(**values, query_heads=values["heads"] * values["group"], descriptor=descriptor,
                        query_tokens=max(1, values["queries"]) if values["generate"] else values["tokens"])
    broken = []
    if descriptor < 0 or descriptor_address_bad(c, descriptor):
        broken.append(ErrorCode.DESCRIPTOR_ADDRESS)
    if any(not 0 <= values[field.name] < (1 << field.width if field.name in known else 1) for field in FIELDS):
        broken.append(ErrorCode.RESERVED_BITS)
    broken += [rule.code for rule in rules_of(c) if rule.broken(c, f)]
    for r in RANGES:
        end = r.base(c, f) + sum(x(c, f) * max(0, y(c, f) - less) for x, y, less in r.terms)
        if r.used(f) and (r.no_channel(c, f) or end > 1 << c.axi_addr_bits):
            broken.append(r.code)
    # Entry by entry, as the hardware reads them.
    of_scales: dict[ErrorCode, None] = {}
    for s in scales:
        if any(not 0 <= int(s.get(field.name, 0)) < 1 << field.width for field in SCALE_FIELDS):
            of_scales[ErrorCode.BAD_SCALE] = None
        if f.give_back and int(s.get("out_shift", 0)) < GIVE_BACK_SHIFT:
            of_scales[ErrorCode.BAD_GIVE_BACK] = None
    return broken + list(of_scales)
