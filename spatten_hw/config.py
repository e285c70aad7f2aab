"""The one configuration: everything a user can set, everything that follows from it.

`SpAttenConfig` holds what the user sets. It is frozen and checked as a whole: a bad one raises
`ConfigError`, which lists *every* violated rule with field, value, rule and remedy. What follows from
it is in `sizes.py`. `hash` sits in a register; the driver compares it before it touches anything.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

from .config_rules import PLANE_WIDTHS as PLANE_WIDTHS
from .config_rules import TOPK_ENGINES as TOPK_ENGINES
from .config_rules import violations
from .engines import QuickSelectChoice, TopKChoice, topk_choice
from .sizes import LSB_WIDTH as LSB_WIDTH
from .sizes import OUT_BITS as OUT_BITS
from .sizes import PAGE_BYTES as PAGE_BYTES
from .sizes import PROB_BITS as PROB_BITS
from .sizes import Sizes
from .sizes import clog2 as clog2

#: Fields of features that a build has only if they are set.
OPTIONAL = ("chunk_queries",)


class ConfigError(ValueError):
    """A configuration breaks one or more rules. `violations` holds one line per broken rule."""

    def __init__(self, violations: list[str]):
        self.violations = violations
        super().__init__("; ".join(violations))


@dataclass(frozen=True)
class SpAttenConfig(Sizes):
    """What the user sets. All sizes are counts; widths are bits unless the name says bytes."""

    name: str = field(default="custom", metadata={"doc": "label, not part of the hash"})
    multipliers: int = field(default=512, metadata={"doc": "multipliers in each of the Q×K and Prob×V arrays"})
    chunk: int = field(
        default=32, metadata={"doc": "multipliers in each array of one slice; head dimensions D are multiples of it"})
    max_dim: int = field(default=128, metadata={"doc": "largest head dimension D of a job"})
    operand_bits: int = field(default=12, metadata={"doc": "on-chip width of Q, K and V"})
    max_tokens: int = field(default=1024, metadata={"doc": "longest context"})
    sram_tokens: int = field(
        default=512, metadata={"doc": "tokens at D = max_dim that one half of the K and of the V SRAM holds"})
    max_heads: int = field(default=32, metadata={"doc": "query heads of a layer"})
    max_group: int = field(default=8, metadata={"doc": "query heads that share one K/V head"})
    slots: int = field(default=8, metadata={"doc": "score vectors in flight between Q×K and the decision"})
    topk_lanes: int = field(default=16, metadata={"doc": "comparators per top-k array (P)"})
    topk: str | TopKChoice = field(
        default=QuickSelectChoice(), metadata={"doc": "engine of the local top-k, and its parameters"})
    channels: int = field(default=16, metadata={"doc": "AXI4 memory ports (C)"})
    axi_data_bits: int = field(default=256, metadata={"doc": "data width of one memory port"})
    axi_addr_bits: int = field(default=32, metadata={"doc": "byte address width of one memory port"})
    reads: int = field(default=64, metadata={"doc": "rows outstanding per channel; as many AXI ids"})
    pool_beats: int = field(default=128, metadata={"doc": "beats of outstanding rows that one channel has room for"})
    job_queue: int = field(default=4, metadata={"doc": "layer jobs queued"})
    decision_rules: int = field(
        default=1, metadata={"doc": "1: with the decision rules beside the paper's (descriptor word 21); 0: without"})
    chunk_queries: int = field(
        default=0, metadata={"doc": "1: with generation jobs of several queries (field queries of a job); 0: without"})

    def __post_init__(self) -> None:
        # A text becomes the engine choice that it names; one that names none stays, so that the rules report it.
        object.__setattr__(self, "topk", topk_choice(self.topk) or self.topk)
        broken = list(violations(self))
        if broken:
            raise ConfigError(broken)

    def replace(self, **changes: object) -> SpAttenConfig:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    @property
    def engine(self) -> TopKChoice:
        """The engine of local value pruning, with its parameters."""
        assert isinstance(self.topk, TopKChoice)
        return self.topk

    @property
    def fields(self) -> dict[str, object]:
        """Every field as a user writes it."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | {"topk": self.engine.written}

    @property
    def stated(self) -> dict[str, object]:
        """The fields that the hardware states of itself: `OPTIONAL` ones only if they are set, so that a feature
        changes nothing in a build without it."""
        return {name: value for name, value in self.fields.items() if value or name not in OPTIONAL}

    @property
    def hash(self) -> int:
        """32-bit hash of every stated field but the name."""
        fields = {k: v for k, v in self.stated.items() if k != "name"}
        text = json.dumps(fields, sort_keys=True).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
