"""The options of a workload's job, checked and expanded to layers and steps."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import UserError
from ..rules import PAPER, Rules
from ..shape import LayerShape, Precision

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

    @property
    def layer(self) -> LayerShape:
        """The shape of one layer."""
        return LayerShape(self.dim, self.kv_heads, self.group)

    def steps(self, per_job: int) -> int:
        """Generation steps, if each has `per_job` of the queries (the last one what is left)."""
        return -(-self.queries // per_job)

    def rows(self, step: int, per_job: int) -> slice:
        """The queries of a generation step."""
        return slice(step * per_job, min(self.queries, (step + 1) * per_job))

    def length(self, step: int, generate: bool, real_tokens: int, per_job: int = 1) -> int:
        """Tokens that exist in this step; padding, beyond `real_tokens`, is not a token."""
        newest = self.tokens - self.queries + self.rows(step, per_job).stop
        return min(real_tokens, newest) if generate else real_tokens


@dataclass(frozen=True)
class JobOptions:
    """The checked job. `keep_tokens`, `keep_heads`, `keep_values`: [step][layer]; None keeps all.

    Widths are (msb, lsb); Q is always fetched whole, so `q_bits` is one number. `real_tokens` is the padding
    length (tokens, when there is no padding). `queries`: of a generation step; None: one, in a job that any build runs.
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
    rules: Rules = PAPER
    queries: int | None = None

    @property
    def per_job(self) -> int:
        """Queries of a generation step."""
        return self.queries or 1

    @property
    def precision(self) -> Precision:
        """Widths, threshold and rules."""
        return Precision(self.q_bits, self.k_bits, self.v_bits, self.threshold_code, self.rules)

    @property
    def threshold_code(self) -> int:
        """The threshold in units of 2^-12."""
        return round(self.threshold * 4096)
