"""The shape of a layer: its sizes, the widths of Q, K and V in memory, and what these require of a build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..config import SpAttenConfig
from ..errors import UserError
from .rules import PAPER, Rules


@dataclass(frozen=True)
class LayerShape:
    """D, K/V heads, and query heads to each of them."""

    dim: int
    kv_heads: int
    group: int = 1

    @property
    def query_heads(self) -> int:
        return self.kv_heads * self.group


@dataclass(frozen=True)
class Precision:
    """Widths of Q, and of K and V as (MSB plane, LSB plane; 0: none). `threshold`: rows whose largest probability from
    K's MSBs is below it fetch LSBs, in units of 2^−12. `rules`: which LSBs, and which values are used."""

    q_bits: int
    k_bits: tuple[int, int]
    v_bits: tuple[int, int]
    threshold: int = 0
    rules: Rules = PAPER

    @property
    def whole(self) -> tuple[int, int, int]:
        """Bits of Q, K and V, LSBs included."""
        return self.q_bits, sum(self.k_bits), sum(self.v_bits)

    @property
    def widest(self) -> int:
        return max(self.whole)

    @property
    def planes(self) -> dict[str, int]:
        """The planes in memory: name in the job → width."""
        widths = {"q": self.q_bits, "k_msb": self.k_bits[0], "k_lsb": self.k_bits[1], "v_msb": self.v_bits[0],
                  "v_lsb": self.v_bits[1]}
        return {name: bits for name, bits in widths.items() if bits}

    @property
    def fields(self) -> dict[str, int]:
        """The fields of the job that these widths set."""
        return {"q_bits": self.q_bits, "k_msb": self.k_bits[0], "k_lsb": self.k_bits[1], "v_msb": self.v_bits[0],
                "v_lsb": self.v_bits[1], "threshold": self.threshold}


@dataclass(frozen=True)
class Shortfall:
    """A `field` of the configuration is `has`, but the work needs at least `need`. For `dims`, `has` are the supported
    head dimensions and `need` is another one; for `sram_tokens`, both count tokens of the work's head dimension."""

    field: str
    need: int
    has: int | tuple[int, ...]


def longest_prompt(config: SpAttenConfig, dim: int) -> int:
    """Tokens of head dimension `dim` that one half of the K/V memories holds."""
    return config.slices * (config.sram_words // max(1, dim // config.chunk))


def shortfalls(config: SpAttenConfig, shape: LayerShape, precision: Precision, *, tokens: int = 0,
               prompt: int = 0, chunks: bool = False) -> Iterator[Shortfall]:
    """What the build lacks. `tokens`: length of the longest context; `prompt`: length of the longest one that is
    summarised, as its K and V lie in SRAM; `chunks`: generation jobs have several queries."""
    if shape.dim not in config.dims:
        yield Shortfall("dims", shape.dim, config.dims)
    for field, need, has in (
            ("max_tokens", tokens, config.max_tokens),
            ("sram_tokens", prompt, longest_prompt(config, shape.dim)),
            ("max_heads", shape.query_heads, config.max_heads), ("max_group", shape.group, config.max_group),
            ("operand_bits", precision.widest, config.operand_bits),
            ("decision_rules", int(precision.rules != PAPER), config.decision_rules),
            ("chunk_queries", int(chunks), config.chunk_queries)):
        if need > has:
            yield Shortfall(field, need, has)


def check_fits(who: str, config: SpAttenConfig, shape: LayerShape, precision: Precision, *, tokens: int = 0,
               prompt: int = 0) -> None:
    """Raises `UserError` with the first of the `shortfalls` and its remedy; `who`: "the GPT"."""
    for lack in shortfalls(config, shape, precision, tokens=tokens, prompt=prompt):
        field, need, has = lack.field, f"≥ {lack.need}", lack.has
        if field == "sram_tokens":
            raise UserError(f"the prompt of {who} has {prompt} tokens, the K/V memories of '{config.name}' hold {has}: "
                            "shorten it or raise sram_tokens")
        if field == "dims" and shape.dim < config.max_dim:
            raise UserError(f"{who} has heads of {shape.dim}, '{config.name}' takes "
                            f"{', '.join(map(str, config.dims))}: pad them to one of these")
        if field == "dims":
            field, has = "max_dim", config.max_dim
        raise UserError(f"{who} needs {field} {need}, '{config.name}' has {has}: use another preset or --set "
                        f"{field}={lack.need}")
