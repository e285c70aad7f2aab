"""The layer-job descriptor: one table from which host encoder, RTL decoder and documents are made.

A descriptor is a block of 64-bit little-endian words in memory, 8-byte aligned: `HEADER_WORDS` of header,
then one `SCALE_FIELDS` entry of two words for every query head. Bits not named must be 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ..config import SpAttenConfig


@dataclass(frozen=True)
class Field:
    """Bits `lsb` … `lsb + width − 1` of 64-bit word `word`."""

    name: str
    word: int
    lsb: int
    width: int
    doc: str


FIELDS: tuple[Field, ...] = (
    Field("generate", 0, 0, 1, "0 summarisation (every alive token is a query), 1 generation (one query, or queries)"),
    Field("causal", 0, 1, 1, "a query sees only tokens up to its own (summarisation, or with queries)"),
    Field("restart", 0, 2, 1, "all tokens and heads alive again before pruning; 0 continues the cascade"),
    Field("clear_scores", 0, 3, 1, "token and head importance set to 0 first"),
    Field("load_scores", 0, 4, 1, "importance read from scores_in first"),
    Field("load_ids", 0, 5, 1, "alive tokens and heads read from ids_in first (not with restart)"),
    Field("store_ids", 0, 6, 1, "alive tokens and heads of this layer written to ids_out"),
    Field("store_scores", 0, 7, 1, "importance after this layer written to scores_out"),
    Field("barrier", 0, 8, 1, "begins when every job before it has ended, its outputs in memory"),
    Field("dim", 0, 16, 16, "head dimension D, a multiple of chunk, at most max_dim"),
    Field("q_bits", 0, 32, 8, "width of Q"),
    Field("k_msb", 0, 40, 8, "width of K's MSB plane"),
    Field("k_lsb", 0, 48, 8, "width of K's LSB plane: 4, or 0 for static"),
    Field("v_msb", 0, 56, 8, "width of V's MSB plane"),
    Field("v_lsb", 1, 0, 8, "width of V's LSB plane: 4, or 0 for static"),
    Field("threshold", 1, 16, 16, "flat if max(P) < threshold, in units of 2^-12; 0 … 4096"),
    Field("heads", 1, 32, 16, "K/V heads of the layer"),
    Field("group", 1, 48, 16, "query heads per K/V head"),
    Field("tokens", 2, 0, 32, "tokens (the padding length where inputs are padded)"),
    Field("keep_tokens", 2, 32, 32, "tokens to keep before this layer; ≥ alive keeps all"),
    Field("keep_heads", 3, 0, 32, "K/V heads to keep before this layer; ≥ alive keeps all"),
    Field("keep_values", 3, 32, 32, "values kept per query; ≥ keys keeps all"),
    Field("protect_first", 4, 0, 32, "first tokens that are never pruned"),
    Field("protect_last", 4, 32, 32, "last tokens that are never pruned"),
    Field("q_base", 5, 0, 64, "byte address of the Q plane in every channel, a multiple of the data width"),
    Field("k_msb_base", 6, 0, 64, "byte address of K's MSB plane"),
    Field("k_lsb_base", 7, 0, 64, "byte address of K's LSB plane"),
    Field("v_msb_base", 8, 0, 64, "byte address of V's MSB plane"),
    Field("v_lsb_base", 9, 0, 64, "byte address of V's LSB plane"),
    Field("out_base", 10, 0, 64, "byte address of the output plane, a multiple of the data width"),
    Field("ids_in", 11, 0, 64, "address of the survivors to load, multiple of 8 (channel above the local address)"),
    Field("ids_out", 12, 0, 64, "address of the survivors to store, a multiple of the data width"),
    Field("scores_in", 13, 0, 64, "address of the importance to load, multiple of 8"),
    Field("scores_out", 14, 0, 64, "address of the importance to store, a multiple of the data width"),
    Field("q_head_stride", 15, 0, 32, "bytes from one query head to the next in Q"),
    Field("q_token_stride", 15, 32, 32, "bytes from a token to the next one of its channel (token + C) in Q"),
    Field("k_msb_head_stride", 16, 0, 32, "bytes from one K/V head to the next"),
    Field("k_msb_token_stride", 16, 32, 32, "bytes from a token to the next one of its channel"),
    Field("k_lsb_head_stride", 17, 0, 32, ""),
    Field("k_lsb_token_stride", 17, 32, 32, ""),
    Field("v_msb_head_stride", 18, 0, 32, ""),
    Field("v_msb_token_stride", 18, 32, 32, ""),
    Field("v_lsb_head_stride", 19, 0, 32, ""),
    Field("v_lsb_token_stride", 19, 32, 32, ""),
    Field("out_head_stride", 20, 0, 32, "bytes from one query head to the next in the output"),
    Field("out_token_stride", 20, 32, 32, "bytes from a token to the next one of its channel in the output"),
    # Decision rules beside the paper's; 0: the paper's.
    Field("lsb_margin", 21, 0, 19, "a key is near if its exponent from the MSBs is at most this, in 2^-14 octaves"),
    Field("mass_share", 21, 32, 13, "the values kept reach this share of the sum of probabilities, in 2^-12; 0: off"),
    Field("lsb_by_key", 21, 48, 1, "flat queries take the LSBs of near keys alone (generation)"),
    Field("give_back", 21, 49, 1, "outputs times the sum of all probabilities / of the kept ones; out_shift ≥ 4"),
    Field("queries", 21, 50, 14, "generation: the last so many tokens are the queries, 0: one (chunk_queries = 1)"),
)
HEADER_WORDS = 22
#: Most queries of a generation job: what its field holds.
MOST_QUERIES = (1 << next(f.width for f in FIELDS if f.name == "queries")) - 1
#: Least `out_shift` of a job that gives back.
GIVE_BACK_SHIFT = 4

#: Two words per query head after the header: how scores become exponents, how sums become outputs.
SCALE_FIELDS: tuple[Field, ...] = (
    Field("score_mant", 0, 0, 17, "mantissa of the score scale (with 1/sqrt(D) and log2(e) in it)"),
    Field("score_pre", 0, 24, 5, "right shift of max − score before the multiplication"),
    Field("score_post", 0, 32, 6, "right shift after it, to 14 fraction bits"),
    Field("out_mant", 1, 0, 17, "mantissa of the output scale"),
    Field("out_shift", 1, 32, 6, "right shift after it"),
)
SCALE_WORDS = 2

#: Width of a token stride the address generators accept (bytes).
STRIDE_BITS = 16


#: Fields that only builds with a feature decode: field → the configuration's.
OPTIONAL_FIELDS = {"queries": "chunk_queries"}


@cache
def fields_of(c: SpAttenConfig) -> tuple[Field, ...]:
    """The fields that a build decodes; bits of the others must be 0 there."""
    return tuple(f for f in FIELDS if f.name not in OPTIONAL_FIELDS or getattr(c, OPTIONAL_FIELDS[f.name]))


def word_count_bits(c: SpAttenConfig) -> int:
    """Width of the number of words that one command reads of descriptors and state."""
    return c.count_bits + 1


def scale_command_words(c: SpAttenConfig) -> int:
    """Most scale words that the job reader requests at once: whole entries, limited by the width of a command's count
    and by the entries of a job. A beat that two commands share is read twice."""
    return min((1 << word_count_bits(c)) - SCALE_WORDS, SCALE_WORDS * c.max_heads)
