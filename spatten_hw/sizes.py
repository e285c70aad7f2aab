"""What follows from a configuration: slices and rows, widths in bits, sizes of memory accesses.

Properties here and nowhere else, so that RTL, register map, C header, driver, test benches and golden model cannot
disagree.
"""

from __future__ import annotations

#: Width of a probability, unsigned, LSB 2^-12 (SpAtten, section IV: 12-bit on-chip data).
PROB_BITS = 12
#: Width of one element of an attention output row in memory, two's complement.
OUT_BITS = 16
LSB_WIDTH = 4
#: No AXI4 burst may cross a multiple of this.
PAGE_BYTES = 4096


def clog2(x: int) -> int:
    """Bits needed to index `x` things (0 for x = 1)."""
    return (x - 1).bit_length()


class Sizes:
    """Sizes and widths, from the fields of `SpAttenConfig`."""

    multipliers: int
    chunk: int
    max_dim: int
    operand_bits: int
    max_tokens: int
    sram_tokens: int
    max_heads: int
    max_group: int
    slots: int
    channels: int
    axi_data_bits: int
    axi_addr_bits: int
    reads: int

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
    def feeds(self) -> int:
        """Converters of a slice for the rows of its channel: one each for K and V where a beat of the channel can hold
        more than a chunk for each of its slices, at 4 bits; else one takes them as fast as they come."""
        return 2 if self.axi_data_bits > 4 * self.chunk * self.slices_per_channel else 1

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

    def chunk_positions(self, group: int) -> int:
        """Positions of a job of several queries that share K and V rows: as many as give a gang of at most `max_group`
        vectors."""
        return max(1, self.max_group // max(1, group))

    @property
    def local_sums(self) -> bool:
        """One slice, whose few sums lie in look-up tables beside its multipliers."""
        return self.slices == 1 and self.sums << self.chunk_bits <= 16

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
        """Beats of the longest read of words: 8 words, or as many as the longest row has room for, up to 32: a
        descriptor is some 50, and every read of them is a trip to memory."""
        return max(1, min(256 // self.beat_bytes, max(64 // self.beat_bytes, self.max_row_beats)))

    @property
    def read_words(self) -> int:
        """64-bit words of the longest read of words."""
        return self.word_beats * self.beat_bytes // 8

    @property
    def addr_bits(self) -> int:
        """Width of an address of words: channel number above a channel-local byte address."""
        return self.axi_addr_bits + clog2(self.channels)

    @property
    def id_bits(self) -> int:
        """Width of an AXI id: a read in flight."""
        return max(1, clog2(self.reads))
