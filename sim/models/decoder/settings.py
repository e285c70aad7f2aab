"""What a user chooses about attention with a KV cache: widths, threshold, schedule, protected tokens, rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from spatten_hw.config import LSB_WIDTH, PLANE_WIDTHS
from spatten_hw.errors import UserError
from spatten_hw.host.rules import PAPER, Rules
from spatten_hw.host.shape import Precision
from spatten_hw.host.workload.schedule import PaperSchedule, Schedule

#: Newest tokens that are never pruned. What has just been written matters most for the next character but has had few
#: queries to become important in: with 1 instead, half the tokens pruned cost 80 % of perplexity, not 2 %.
PROTECT_LAST = 24


@dataclass(frozen=True)
class DecoderSettings:
    """How attention is computed. Widths are bits; `k_bits` and `v_bits` are (MSBs, LSBs), LSBs 0 (static) or 4.

    `threshold` (0 … 1): rows whose largest probability is below it fetch LSBs. `schedule` is asked once for the prompt
    and once per generation step. `protect_first` tokens from the start and `protect_last` from the end are never
    pruned; the newest token is the query's own, so `protect_last` ≥ 1. `rules`: decision rules beside the paper's (by
    key in steps alone). Raises `UserError` naming the first broken rule.
    """

    q_bits: int = 12
    k_bits: tuple[int, int] = (12, 0)
    v_bits: tuple[int, int] = (12, 0)
    threshold: float = 0.0
    schedule: Schedule = field(default_factory=PaperSchedule)
    protect_first: int = 1
    protect_last: int = PROTECT_LAST
    rules: Rules = PAPER

    def __post_init__(self) -> None:
        for name, (msb, lsb) in (("q_bits", (self.q_bits, 0)), ("k_bits", self.k_bits), ("v_bits", self.v_bits)):
            if msb not in PLANE_WIDTHS or lsb not in (0, LSB_WIDTH) or msb + lsb > max(PLANE_WIDTHS):
                widths = ", ".join(map(str, PLANE_WIDTHS))
                raise UserError(f"{name} = {msb}{f'+{lsb}' if lsb else ''}: MSBs must be one of {widths}, LSBs 0 or "
                                f"{LSB_WIDTH}, together at most {max(PLANE_WIDTHS)}")
        if not 0 <= self.threshold <= 1:
            raise UserError(f"threshold = {self.threshold}: must be 0 … 1; 0 fetches no LSBs")
        if self.protect_first < 0 or self.protect_last < 1:
            raise UserError(f"protect_first = {self.protect_first}, protect_last = {self.protect_last}: must be at "
                            "least 0 and 1; the newest token is always kept")
        for field_name, wrong, remedy in self.rules.broken(self.k_bits[1]):
            raise UserError(f"{field_name} {wrong}; {remedy}")

    @property
    def bits(self) -> dict[str, int]:
        """Whole width of "q", "k" and "v"."""
        return {"q": self.q_bits, "k": sum(self.k_bits), "v": sum(self.v_bits)}

    @property
    def precision(self) -> Precision:
        """Widths, the threshold in units of 2^−12, rules."""
        return Precision(self.q_bits, self.k_bits, self.v_bits, round(self.threshold * 4096), self.rules)

    @property
    def protected(self) -> int:
        """Tokens that are never pruned."""
        return self.protect_first + self.protect_last
