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
#: No AXI4 burst may cross a multiple of this.
PAGE_BYTES = 4096


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
        """Slices (S): each has `chunk` multipliers per array and belongs to one channel."""
        return self.multipliers // self.chunk

    @property
    def slices_per_channel(self) -> int:
        return self.slices // self.channels

    @property
    def lanes(self) -> int:
        """Lanes of a row: one per slice."""
        return self.slices

    @property
    def max_chunks(self) -> int:
        """Chunks of the longest head dimension."""
        return self.max_dim // self.chunk

    @property
    def dims(self) -> tuple[int, ...]:
        """Head dimensions a job may have, ascending."""
        return tuple(range(self.chunk, self.max_dim + 1, self.chunk))

    @property
    def max_rows(self) -> int:
        """Rows of a vector as long as the build allows, if its tokens are spread evenly: no slice has more keys."""
        return -(-self.max_tokens // self.slices)

    @property
    def sram_words(self) -> int:
        """Chunks in one half of the K (V) SRAM of a slice."""
        return self.sram_tokens * self.max_dim // self.multipliers

    @property
    def items(self) -> int:
        """Work items between their issue and their output: each keeps its probabilities."""
        return 2 * self.slots

    @property
    def sums(self) -> int:
        """Work items whose outputs are accumulated or wait for the adder tree; four at least, or the next one waits."""
        return max(4, 1 << clog2(2 * self.max_group))

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
    def slot_bits(self) -> int:
        return max(1, clog2(self.slots))

    @property
    def row_bits(self) -> int:
        """Width of a row number: the place of a key among those of its slice."""
        return max(1, clog2(self.max_rows))

    @property
    def sram_word_bits(self) -> int:
        """Width of the number of a chunk in its half of the K (V) SRAM."""
        return max(1, clog2(self.sram_words))

    @property
    def chunk_count_bits(self) -> int:
        """Width of a number of chunks, 1 … max_chunks."""
        return self.max_chunks.bit_length()

    @property
    def chunk_bits(self) -> int:
        """Width of the number of a chunk in its row."""
        return max(1, clog2(self.max_chunks))

    @property
    def slice_bits(self) -> int:
        return max(1, clog2(self.slices))

    @property
    def item_bits(self) -> int:
        return max(1, clog2(self.items))

    @property
    def sum_bits(self) -> int:
        return max(1, clog2(self.sums))

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
    def max_row_beats(self) -> int:
        """Beats of the longest row of a plane."""
        return -(-self.max_dim * self.operand_bits // self.axi_data_bits)

    @property
    def beats_bits(self) -> int:
        """Width of a number of beats of one read."""
        return self.most_beats.bit_length()

    @property
    def most_beats(self) -> int:
        """Beats of the longest read: a row, or a few words of a descriptor or of saved state."""
        return max(self.max_row_beats, self.word_beats)

    @property
    def word_beats(self) -> int:
        """Beats of the longest read of words: at most 8 words, so that a read of words is no longer than most rows."""
        return max(1, 64 // self.beat_bytes)

    @property
    def addr_bits(self) -> int:
        """Width of an address of words: channel number above a channel-local byte address."""
        return self.axi_addr_bits + clog2(self.channels)

    @property
    def id_bits(self) -> int:
        """Width of an AXI id: a read in flight."""
        return max(1, clog2(self.reads))

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
