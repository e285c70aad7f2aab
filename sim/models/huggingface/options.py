"""What a user sets for the attention of a model, and the sizes that the model itself brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spatten_hw.errors import UserError
from spatten_hw.host.rules import PAPER, Rules
from spatten_hw.host.workload import Workload
from spatten_hw.host.workload.options import JobOptions, Shape
from spatten_hw.host.workload.read_options import parse_options
from spatten_hw.host.workload.schedule import LayerCounts, Schedule

ENGINES = ("golden", "float")
#: What has a scale of its own.
SCALES = ("head", "channel")


@dataclass(frozen=True)
class AttentionOptions:
    """Settings for all layers of all sequences.

    `engine`: "golden" (the bit-exact integers) or "float" (float64, the same pruning, no quantisation, no LSBs).
    `q_bits`, `k_bits`, `v_bits`, `threshold`, `protect_first`, `protect_last`: as in a job (`docs/workloads.md`);
    protected tokens are counted without padding. `rules`: decision rules beside the paper's, for example `BY_KEY` (by
    key in steps of generation alone). `schedule`: what to keep of tokens, K/V heads and values (None: all).
    `value_peak`: the largest magnitude that an element of V or of an output is expected to have, which sets the unit
    of outputs (golden); None takes it from V of a sequence's first layer with room to spare. `record`: keep what
    passes, for `SpAttenAttention.dump`. `scales`: K and V have one per "head" or, with factors folded into Q and the
    outputs (`host/folds.py`), one per "channel"; the latter has no workload files, whose outputs would be folded.
    """

    engine: str = "golden"
    q_bits: int | tuple[int, int] = 12
    k_bits: int | tuple[int, int] = 12
    v_bits: int | tuple[int, int] = 12
    threshold: float = 0.0
    schedule: Schedule | None = None
    protect_first: int = 0
    protect_last: int = 0
    value_peak: float | None = None
    record: bool = False
    rules: Rules = PAPER
    scales: str = "head"

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UserError(f"engine is {self.engine!r}: use one of {', '.join(ENGINES)}")
        if self.scales not in SCALES:
            raise UserError(f"scales is {self.scales!r}: use one of {', '.join(SCALES)}")
        if self.scales == "channel" and self.record:
            raise UserError("scales by channel cannot be recorded: their outputs are not those of a workload file; "
                            "leave record or scales out")
        if self.schedule is not None and not isinstance(self.schedule, Schedule):
            raise UserError(f"schedule is a {type(self.schedule).__name__}: use a Schedule of spatten_hw.host, or None")
        if self.value_peak is not None and not 1e-30 < self.value_peak < 1e30:
            raise UserError(f"value_peak is {self.value_peak!r}: must be a positive number (None: chosen by itself)")
        for name in ("protect_first", "protect_last"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise UserError(f"{name} is {value!r}: must be a whole number from 0")
        if not isinstance(self.rules, Rules):
            raise UserError(f"rules is a {type(self.rules).__name__}: use Rules of spatten_hw.host")
        for generate in (False, True):
            self.parsed(Shape(1, 1, 1, 1, 1, 1), "options", generate)

    def job(self, tokens: int, generate: bool, causal: bool, queries: int = 1) -> dict[str, Any]:
        """The fields of a job, but for what it keeps, as JSON has them; `tokens`: of the whole sequence, the last
        `queries` of which are the queries of a generation job, and so not pruned."""
        def width(bits: int | tuple[int, int]) -> int | list[int]:
            return bits if isinstance(bits, int) else list(bits)

        return {
            "stage": "generate" if generate else "summarise", "mask": "causal" if causal and not generate else "none",
            "q_bits": width(self.q_bits), "k_bits": width(self.k_bits), "v_bits": width(self.v_bits),
            "threshold": self.threshold, **self._rules(generate),
            "protect_first": min(self.protect_first, tokens), "protect_last": min(self.protected_last(queries), tokens),
            **({"queries": queries} if queries > 1 else {}),
        }

    def protected_last(self, queries: int) -> int:
        """Last tokens that are not pruned in a job of so many queries."""
        return max(self.protect_last, queries if queries > 1 else 0)

    def _rules(self, generate: bool) -> dict[str, Any]:
        """The fields of the rules that are set."""
        fields = {"lsb_margin": self.rules.lsb_margin if generate else None, "keep_mass": self.rules.keep_mass,
                  "give_back": self.rules.give_back or None}
        return {name: value for name, value in fields.items() if value is not None}

    def parsed(self, shape: Shape, source: str, generate: bool = False) -> JobOptions:
        """The checked job of one pass, without what it keeps and sees."""
        return parse_options(self.job(shape.tokens, generate, False, shape.queries if generate else 1), shape, source)


@dataclass(frozen=True)
class Sizes:
    """What a model's attention looks like: `name` for messages, each of `kv_heads` heads serves `group` query heads."""

    name: str
    layers: int
    kv_heads: int
    group: int
    dim: int

    @property
    def query_heads(self) -> int:
        return self.kv_heads * self.group

    def shape(self, tokens: int, generate: bool, queries: int = 1) -> Shape:
        """The arrays of one pass over `tokens` tokens; a generation job has `queries` of them."""
        return Shape(self.layers, self.query_heads, self.kv_heads, queries if generate else tokens, tokens, self.dim)


def outline(sizes: Sizes, tokens: int, generate: bool, options: AttentionOptions, queries: int = 1) -> Workload:
    """A workload of one pass without arrays: what checks and byte counts go by."""
    shape = sizes.shape(tokens, generate, queries)
    return Workload(sizes.name, shape, options.parsed(shape, sizes.name, generate), {}, {}, {})


def keep_counts(sizes: Sizes, tokens: int, options: AttentionOptions, queries: int = 1) -> LayerCounts | None:
    """What each layer of a pass over `tokens` tokens keeps; None: everything."""
    if options.schedule is None:
        return None
    protected = options.protect_first + options.protected_last(queries)
    return options.schedule.counts(sizes.layers, tokens, sizes.kv_heads, protected)
