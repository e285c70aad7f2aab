"""Policies of attention by name: operand widths, scales, what is pruned, decision rules."""

from __future__ import annotations

from dataclasses import dataclass

from spatten_hw.host.rules import Rules
from spatten_hw.host.workload.fixed_schedule import FixedRatios

from .settings import DecoderSettings


@dataclass(frozen=True)
class Policy:
    """`fold`: K and V have a scale per channel, folded into Q and into the outputs, instead of one per head."""

    doc: str
    settings: DecoderSettings
    fold: bool

    @property
    def prunes_tokens(self) -> bool:
        return getattr(self.settings.schedule, "keep_tokens", None) is not None


#: Measured on a language model (docs/accuracy.md): 4.7 times fewer bytes than dense 12 bit for no loss that shows.
DEFAULT_RULES = Rules(lsb_margin=3.0, keep_mass=0.95, give_back=True)
#: Name → policy. Protected in all that prune: the first 4 tokens, which others attend to a lot (StreamingLLM, arXiv
#: 2309.17453), and the newest 32.
POLICIES = {
    "default": Policy("K in 4 + 4 bits, LSBs of the keys within 3 nats of the largest alone; V in 4 bits, of each "
                      "query's values those of 95 % of the probability, the rest given back; a scale per channel",
                      DecoderSettings(12, (4, 4), (4, 0), 1.0, FixedRatios(), rules=DEFAULT_RULES), True),
    "static": Policy("K in 8 bits, V in 4, a scale per channel; nothing is pruned",
                     DecoderSettings(12, (8, 0), (4, 0), schedule=FixedRatios()), True),
    "dense": Policy("12 bits, nothing is pruned",
                    DecoderSettings(12, (12, 0), (12, 0), schedule=FixedRatios()), False),
    "values": Policy("static, and of each query's values the largest 30 %",
                     DecoderSettings(12, (8, 0), (4, 0), schedule=FixedRatios(keep_values=0.3)), True),
    "paper": Policy("the paper's rules: K in 4 + 4 bits, LSBs for rows whose largest probability is below 0.1, V in 8 "
                    "bits; steps keep 70 % of the tokens from the second layer on, queries 30 % of the values",
                    DecoderSettings(8, (4, 4), (8, 0), 0.1, FixedRatios(keep_tokens=0.7, keep_values=0.3), 4, 32),
                    False),
}
