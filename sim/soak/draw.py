"""Configurations at random: every field over its range, legal and illegal, mostly small enough to compile soon."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass

from spatten_hw.config import PLANE_WIDTHS, TOPK_ENGINES, ConfigError, SpAttenConfig
from spatten_hw.engines import TOPK

#: Most of `cost` that a drawing may have: one of these, or, if it may be large, the last.
USUAL_COST, LARGE_COST = (35, 35, 45, 45, 60, 100), 400
#: Shares of drawings: a field or two of a legal one changed; all fields drawn apart; large.
CHANGED, APART, LARGE = 0.12, 0.06, 0.02

#: Values out of which fields are drawn: all legal ones, for fields of many values the least, the most and some between.
VALUES: dict[str, Sequence[int | str]] = {
    "multipliers": [1 << e for e in range(2, 10)],
    "chunk": [4, 8, 16, 32, 64, 128],
    "max_dim": [4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256],
    "operand_bits": PLANE_WIDTHS,
    "max_tokens": [1 << e for e in range(3, 17)],
    "sram_tokens": [1 << e for e in range(17)],
    "max_heads": range(1, 129),
    "max_group": range(1, 33),
    "slots": [2, 4, 8, 16, 32, 64],
    "topk_lanes": [1, 2, 4, 8, 16, 32, 64],
    "topk": TOPK_ENGINES,
    "channels": [1, 2, 4, 8, 16, 32],
    "axi_data_bits": [32, 64, 128, 256, 512],
    "axi_addr_bits": range(16, 49),
    "reads": [2, 4, 8, 16, 32, 64, 128, 256],
    "pool_beats": [1 << e for e in range(2, 13)],
    "job_queue": range(2, 17),
    "decision_rules": [0, 1],
    "chunk_queries": [0, 1],
}
#: What no field may be.
ILLEGAL: tuple[object, ...] = (-4, 0, 3, 5, 7, 48, 100, 1 << 13, 1 << 17, 2.0, True, "8", "radix", None)


@dataclass(frozen=True)
class Drawing:
    """What a seed gives: the fields of a configuration, and whether they were meant to be legal."""

    seed: int
    fields: dict[str, object]
    meant: bool

    def config(self) -> SpAttenConfig:
        """The configuration. Raises `ConfigError` if the fields break rules."""
        return SpAttenConfig(name=f"soak-{self.seed}", **self.fields)  # type: ignore[arg-type]


def draw(seed: int) -> Drawing:
    """The drawing of a seed, always the same."""
    rng = random.Random(f"configuration {seed}")
    kind = rng.random()
    if kind < APART:
        return Drawing(seed, {name: rng.choice([*values, rng.choice(ILLEGAL)] if rng.random() < 0.1 else values)
                              for name, values in VALUES.items()}, False)
    fields = legal(rng, LARGE_COST if rng.random() < LARGE else rng.choice(USUAL_COST))
    if kind < APART + CHANGED:
        for name in rng.sample(list(VALUES), rng.choice([1, 1, 2, 3])):
            fields[name] = rng.choice([*VALUES[name], *ILLEGAL])
        return Drawing(seed, fields, False)
    return Drawing(seed, fields, True)


def legal(rng: random.Random, most: float) -> dict[str, object]:
    """Fields that keep the rules, and cost at most `most` to compile."""
    while True:
        fields = _legal(rng)
        if cost(fields) <= most:
            try:
                SpAttenConfig(**fields)  # type: ignore[arg-type]
            except ConfigError as error:
                raise AssertionError(f"the draw does not know a rule: {error}: {fields}") from error
            return fields


def cost(fields: dict) -> float:
    """About what a configuration takes to generate and compile, in seconds of one core."""
    slices = fields["multipliers"] // fields["chunk"]
    beat = 1 + fields["axi_data_bits"] / 256
    comparator = 1.0 if str(fields["topk"]).startswith("linerate") else 0.5
    return (10 + 0.15 * fields["multipliers"] * fields["operand_bits"] / 12 + 0.8 * slices
            + comparator * fields["topk_lanes"] + 0.5 * fields["channels"] * beat)


def _engine(rng: random.Random) -> str:
    """An engine, every other time with parameters of its own."""
    kind = TOPK[rng.choice(TOPK_ENGINES)]
    if rng.random() < 0.5:
        return kind.name
    return kind(**{f.name: rng.choice([f.default, rng.randint(*f.metadata["range"])])
                   for f in dataclasses.fields(kind)}).written


def _legal(rng: random.Random) -> dict[str, object]:
    def pow2(low: int, high: int, fall: float = 1.0) -> int:
        """A power of two in low … high; each is `fall` times as likely as the one before."""
        values = [1 << e for e in range((low - 1).bit_length(), high.bit_length())]
        return rng.choices(values, [fall**i for i in range(len(values))])[0]

    chunk = pow2(4, 128, 0.6)
    max_dim = chunk * rng.choice([n for n in (1, 1, 2, 2, 2, 3, 4, 4, 5, 8) if n * chunk <= 256])
    channels = pow2(1, min(32, 512 // chunk), 0.7)
    # There are at most 64 slices, since each needs a comparator.
    multipliers = pow2(chunk * channels, min(512, 64 * chunk), 0.45)
    slices = multipliers // chunk
    max_tokens = pow2(max(8, slices), 65536)
    sram_tokens = slices if rng.random() < 0.1 else pow2(max(slices, min(4, max_tokens)), max_tokens)
    slots = pow2(2, 64, 0.7)
    # Wide ones have more settings of widths to run.
    operand_bits = rng.choice([*PLANE_WIDTHS, 12, 16, 16])
    max_heads = rng.choice([1, 2, 3, rng.randint(1, 12), rng.randint(1, 128), 128])
    beat = pow2(4, 64, 0.7)
    # Of a row, or of eight words of a descriptor.
    longest = max(-(-max_dim * operand_bits // (8 * beat)), 64 // beat)
    return {
        "multipliers": multipliers, "chunk": chunk, "max_dim": max_dim, "operand_bits": operand_bits,
        "max_tokens": max_tokens, "sram_tokens": sram_tokens, "max_heads": max_heads,
        "max_group": min(rng.choice([1, 2, rng.randint(1, 32)]), slots, max_heads), "slots": slots,
        "topk_lanes": pow2(slices, 64, 0.6), "topk": _engine(rng),
        "channels": channels, "axi_data_bits": 8 * beat, "axi_addr_bits": rng.randint(16, 48),
        "reads": pow2(2, 256, 0.8), "pool_beats": pow2(max(4, 2 * longest), 4096, 0.6),
        "job_queue": rng.randint(2, 16), "decision_rules": int(rng.random() < 0.8),
        "chunk_queries": int(rng.random() < 0.5),
    }
