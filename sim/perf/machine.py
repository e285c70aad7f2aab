"""The machine that the model times: sizes, memory, latencies of its blocks; the presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log2

#: As many as nothing needs.
UNLIMITED = 1 << 30


@dataclass(frozen=True)
class Latencies:
    """Cycles through the blocks, without waiting. A `rows` below is the number of keys in a vector's fullest slice."""

    start: int = 12      # from the job to the walker's first head
    walker: int = 2      # of the walker per gang, and one per query head
    request: int = 4     # from a request queue's input to the channel's address
    convert: int = 3     # from the pool to the multipliers
    query: int = 6       # from a Q row's last beat to the slices
    score: int = 8       # from the last chunk of a key to its stored score
    softmax: int = 56    # from the last score to the first row of probabilities of a vector with one row
    decision: int = 30   # from the last row read for Σ exp to whether the vector is flat
    passed: int = 4      # from probabilities to the gather where nothing is pruned
    topk: int = 12       # of local top-k, beside its passes
    gather: int = 4      # from a gang's last kept row to the first entries of its walk
    gather_gap: int = 4  # between the walks of two gangs, beside their rows
    skip: bool = False   # whether the walk passes over rows in which nothing is kept, without a cycle for them
    value: int = 9       # from the last chunk of a V row to its sum
    drain: int = 10      # from the tree to the write, beside chunks and levels of the tree
    finish: int = 16     # from the last write to the completion
    rows: int = 1        # 0: vectors take no time by their length, only the latencies

    def probabilities(self, rows: int) -> int:
        """From a vector's turn in the softmax to its first row of probabilities: Σ exp needs all rows before."""
        return self.softmax + self.rows * (rows - 1)

    def kept(self, rows: int, engine_rows: int, pruned: bool) -> int:
        """From a vector's first row of probabilities to its last row with kept bits."""
        if not pruned:
            return self.passed + self.rows * rows
        return self.topk + self.rows * (2 * rows + 2 * ceil(engine_rows / 4))


@dataclass(frozen=True)
class Machine:
    """Sizes of a build, in the words of `SpAttenConfig`, and the memory behind it."""

    name: str
    slices: int
    channels: int
    chunk: int = 32
    beat_bytes: int = 32
    max_dim: int = 128          # largest head dimension
    max_tokens: int = 1024
    slots: int = 16
    items: int = 32
    sums: int = 16
    topk_lanes: int = 16
    reads: int = 64             # rows in flight per channel
    pool_beats: int = 128       # room for their beats, per channel
    key_queue: int = 64         # K requests that wait, per slice
    feed_chunks: int = 8        # room of a slice between pool and multipliers, for K and V each
    value_queue: int = 64       # entries of kept values that wait, per slice
    first: str = "key"          # whose request goes first: "key", "value", "oldest"; "tail": V, but K once the heads
                                # that are still to be decided all have slots; "level": K, but V while a V queue is
                                # three quarters full
    out: str = "key"            # which complete row leaves the pool first; the same words
    turned: bool = True         # rows of head h, token t in channel (t + h) mod C; False: t mod C
    memory_latency: int = 8     # from an address to its first beat
    refresh_every: int = 0      # a channel gives nothing for `refresh_for` of so many cycles; 0: always
    refresh_for: int = 0
    refresh_spread: bool = True     # channels one after the other; False: all at once
    latencies: Latencies = Latencies()

    def replace(self, **changes: object) -> Machine:
        """A copy with some parameters changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def levels(self) -> int:
        """Levels of the adder tree over the slices."""
        return ceil(log2(self.slices)) if self.slices > 1 else 0

    def beats(self, dim: int, bits: int) -> int:
        """Beats of a row: rows begin on whole beats."""
        return -(-dim * bits // (8 * self.beat_bytes))

    def chunks(self, dim: int) -> int:
        """Cycles of a slice's multipliers for a row."""
        return dim // self.chunk

    def drain_cycles(self, dim: int) -> int:
        """Cycles between two items at the tree: chunks out of it, or beats of 16-bit outputs behind the requantiser."""
        return max(self.chunks(dim), self.beats(dim, 16))


FULL = Machine("full", slices=16, channels=16)
EIGHTH = FULL.replace(name="eighth", slices=2, channels=2, max_dim=64)
SMALL = EIGHTH.replace(name="small", slices=1, channels=1, beat_bytes=8, max_dim=32, max_tokens=512, slots=4, items=8,
                       sums=8, topk_lanes=2, reads=16, pool_beats=64)
PRESETS = {m.name: m for m in (SMALL, EIGHTH, FULL)}

#: What an HBM2 channel does to a machine at 1 GHz, simplified: a long answer, and refreshes (`sim/dram/timing.py`).
HBM = {"memory_latency": 60, "refresh_every": 3900, "refresh_for": 260}

#: The model behind the first balance figures: queues without end, 16 slots, 60 cycles from a head's last score to its
#: V, whose rows go before K at the channel itself (two reads in flight).
IDEAL = FULL.replace(
    name="ideal", first="value", out="value", items=UNLIMITED, sums=UNLIMITED, reads=2, pool_beats=UNLIMITED,
    key_queue=UNLIMITED, value_queue=UNLIMITED, feed_chunks=UNLIMITED, memory_latency=0,
    latencies=Latencies(start=0, walker=0, request=0, convert=0, query=0, score=0, softmax=60, decision=0, passed=0,
                        topk=0, gather=0, gather_gap=0, value=0, drain=0, finish=0, rows=0))
