"""The one configuration: everything a user can set, everything that follows from it.

`SpAttenConfig` holds what the user sets. It is frozen and checked as a whole: a bad one raises
`ConfigError`, which lists *every* violated rule with field, value, rule and remedy. What follows from
it (row width, bit widths, depths) are properties here and nowhere else, so that RTL, register map,
C header, driver, test benches and golden model cannot disagree. `hash` sits in a register; the driver
compares it before it touches anything.
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

#: Width of a probability, unsigned, LSB 2^-12 (SpAtten, section IV: 12-bit on-chip data).
PROB_BITS = 12
#: Width of one element of an attention output row in memory, two's complement.
OUT_BITS = 16
LSB_WIDTH = 4
#: Base-C digits of a granule's number that together choose its channel (`bus/interleave.py`).
INTERLEAVE_DIGITS = 3


class ConfigError(ValueError):
    """A configuration breaks one or more rules. `violations` holds one line per broken rule."""

    def __init__(self, violations: list[str]):
        self.violations = violations
        super().__init__("; ".join(violations))


def clog2(x: int) -> int:
    """Bits needed to index `x` things (0 for x = 1)."""
    return (x - 1).bit_length()


@dataclass(frozen=True)
class SpAttenConfig:
    """What the user sets. All sizes are counts; widths are bits unless the name says bytes."""

    name: str = field(default="custom", metadata={"doc": "label, not part of the hash"})
    multipliers: int = field(default=512, metadata={"doc": "multipliers in each of the Q×K and Prob×V arrays"})
    min_dim: int = field(default=32, metadata={"doc": "smallest head dimension D; width of one array slice"})
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
    interleave_bytes: int = field(
        default=64, metadata={"doc": "consecutive bytes that stay on one channel before the next takes over"})
    k_ports: int = field(default=16, metadata={"doc": "row ports of the K fetcher"})
    v_ports: int = field(default=16, metadata={"doc": "row ports of the V fetcher"})
    ids_per_port: int = field(default=8, metadata={"doc": "bursts outstanding per row port"})
    job_queue: int = field(default=4, metadata={"doc": "layer jobs queued"})

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

    # -- arrays and rows ------------------------------------------------------------------------------

    @property
    def slices(self) -> int:
        """Array slices of `min_dim` multipliers each."""
        return self.multipliers // self.min_dim

    @property
    def lanes(self) -> int:
        """Lanes (L) of a row: the most keys one Q×K cycle can score, reached at D = min_dim."""
        return self.slices

    @property
    def dims(self) -> tuple[int, ...]:
        """Head dimensions a job may have, ascending powers of two."""
        return tuple(1 << e for e in range(self.min_dim.bit_length() - 1, self.max_dim.bit_length()))

    def rows_per_cycle(self, dim: int) -> int:
        """R: keys scored per cycle at head dimension `dim`."""
        return self.multipliers // dim

    @property
    def max_rows(self) -> int:
        """Full rows of `lanes` that the longest vector takes."""
        return -(-self.max_tokens // self.lanes)

    @property
    def sram_rows(self) -> int:
        """Rows of `multipliers` operands in one half of the K (V) SRAM."""
        return self.sram_tokens * self.max_dim // self.multipliers

    # -- widths ---------------------------------------------------------------------------------------

    @property
    def token_bits(self) -> int:
        """Width of a token id or position."""
        return max(1, clog2(self.max_tokens))

    @property
    def count_bits(self) -> int:
        """Width of a number of tokens, 0 … max_tokens."""
        return self.max_tokens.bit_length()

    @property
    def head_bits(self) -> int:
        """Width of a query-head (or K/V-head) index."""
        return max(1, clog2(self.max_heads))

    @property
    def lane_count_bits(self) -> int:
        """Width of a number of live lanes, 0 … lanes."""
        return self.lanes.bit_length()

    @property
    def slot_bits(self) -> int:
        return max(1, clog2(self.slots))

    @property
    def score_bits(self) -> int:
        """Width of an exact Q·K, two's complement; 2·W + log2(D) because D·(−2^(W−1))² must fit too."""
        return 2 * self.operand_bits + clog2(self.max_dim)

    @property
    def acc_bits(self) -> int:
        """Width of an exact Σ P·V, two's complement. Σ P ≤ 4096 + n because each P is within one LSB."""
        return self.operand_bits + clog2((1 << PROB_BITS) + self.max_tokens)

    @property
    def token_score_bits(self) -> int:
        """Width of a token's cumulative importance: 1,024 layer passes of every head and query, saturating."""
        return PROB_BITS + clog2(self.max_tokens) + clog2(self.max_heads) + 10

    @property
    def head_score_bits(self) -> int:
        """Width of a head's cumulative importance: Σ |out| over 1,024 layer passes, saturating."""
        return min(64, OUT_BITS + clog2(self.max_dim) + clog2(self.max_tokens) + clog2(self.max_group) + 10)

    # -- memory ports ---------------------------------------------------------------------------------

    @property
    def beat_bytes(self) -> int:
        return self.axi_data_bits // 8

    @property
    def granule_beats(self) -> int:
        """Longest burst: the beats of one interleave granule."""
        return self.interleave_bytes // self.beat_bytes

    @property
    def addr_bits(self) -> int:
        """Width of a logical byte address: channel-local address plus channel number."""
        return self.axi_addr_bits + clog2(self.channels)

    @property
    def requesters(self) -> int:
        """Read requesters on the crossbar, in this order: K ports, V ports, Q port, auxiliary port."""
        return self.k_ports + self.v_ports + 2

    @property
    def id_bits(self) -> int:
        """Width of an AXI id: requester number, then burst number within the requester."""
        return clog2(self.requesters) + max(1, clog2(self.ids_per_port))

    @property
    def fields(self) -> dict[str, object]:
        """Every field as a user writes it."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | {"topk": self.engine.written}

    @property
    def hash(self) -> int:
        """32-bit hash of every field but the name."""
        fields = {k: v for k, v in self.fields.items() if k != "name"}
        text = json.dumps(fields, sort_keys=True).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
