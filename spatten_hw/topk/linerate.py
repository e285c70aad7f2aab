"""A top-k engine at line rate: the threshold digit by digit, one vector per pipeline stage.

The paper's quick-select (SpAtten, section IV-B) needs too many passes for long vectors. This engine does without:
each digit of the threshold is decided by a stage of its own, and the stages work on different vectors.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring

from ..contract import always_taken, contract
from ..primitives.widths import narrow
from ..stream.low_latency_fifo import LowLatencyFifo
from .digit_histogram import DigitHistogram
from .digit_stage import DigitStage, digit_command
from .interface import TopKEngine
from .key_groups import KeyGroups
from .rules import engine_contracts


def split(total: int, parts: int) -> list[int]:
    """`total` in `parts` numbers that differ by at most 1, larger ones first."""
    return [total // parts + (p < total % parts) for p in range(parts)]


def plan(key_bits: int, digit_bits: int, digit_stages: int) -> tuple[list[int], list[int]]:
    """Widths of the key's digits, highest first, and how many of them each stage decides.

    The first stage sees a row only once, so it decides one digit.
    """
    if digit_bits < 1 or digit_stages < 1:
        raise ValueError(f"digit_bits and digit_stages must be at least 1, not {digit_bits} and {digit_stages}")
    digits = split(key_bits, -(-key_bits // digit_bits))
    later = min(len(digits), digit_stages) - 1
    if later == 0 and len(digits) > 1:
        raise ValueError(f"digit_stages = 1 decides {digit_bits} bits, keys have {key_bits}: use at least 2")
    return digits, [1, *split(len(digits) - 1, later)] if later else [1]


class LineRate(TopKEngine):
    """`TopKEngine` whose time depends on the vectors' lengths only: one row per cycle, without a gap.

    The key is cut into digits of at most `digit_bits`. Arriving rows are counted by the first digit and stored once
    per later stage (`DigitStage`, only the key bits it needs), dead lanes as zeros, which no stage counts. A stage
    reads `wide` rows per cycle, so that it adds ⌈rows / wide⌉ cycles to a vector's latency. Memories are deep enough
    for any mix of lengths; a queue in front of a stage is as deep as the stage's memory, that at `o` holds all vectors
    that may be inside, so nothing but `o` ever stalls. Keys of more than `digit_stages` digits: the
    later stages take several passes per vector (`cycles`). `i.ready` depends on registers only; `o` comes from
    registers.

    Why digits of 4 bits: a counter costs a 4-input comparator per lane and an adder tree. Keys of 12 bits then take 15
    counters and 2 × 15 of `wide` times the lanes. Digits of 6 bits would take 63 and 63 wide ones, those of 3 bits 7
    and 3 × 7 wide ones. Each later stage also costs a memory, a queue and four cycles.
    """

    def __init__(self, key_bits: int, lanes: int, max_n: int, max_rows: int | None = None, *,
                 digit_bits: int = 4, digit_stages: int = 3, wide: int = 4):
        if wide < 1:
            raise ValueError(f"wide must be at least 1, not {wide}")
        super().__init__(key_bits, lanes, max_n, max_rows)
        self.digits, self.passes = plan(key_bits, digit_bits, digit_stages)
        #: Rows that a later stage reads per cycle.
        self.wide = min(wide, self.max_rows)
        # A vector occupies a single-pass stage no longer than it took to arrive. So one longest vector is the most
        # work that waits for a stage, and a vector is decided at most `within` cycles after its last row. Until then
        # the memory holds its groups, and one more per cycle.
        longest = self.groups(self.max_rows)
        within = DigitHistogram.LATENCY + LowLatencyFifo.LATENCY
        #: Groups of `wide` rows that each later stage keeps.
        self.group_depths: list[int] = []
        # Rows of the vector that is filtered.
        self.row_depth = self.max_rows
        for passes in self.passes[1:]:
            within += longest + DigitStage.LATENCY
            self.group_depths.append(longest + within + KeyGroups.SPARE)
            # Several passes: room for the vector that the stage works on.
            self.row_depth += self.max_rows if passes > 1 else 0
        self.row_depth += within + LowLatencyFifo.LATENCY + 1
        # As many as there are rows to filter; two more, since `room` is a cycle late and a last row may be on its way.
        self.thresholds = self.max_vectors = self.row_depth + 2

    def groups(self, rows: int) -> int:
        """Cycles that one pass of a later stage over `rows` rows takes."""
        return -(-rows // self.wide)

    def cycles(self, n: int, rows: int | None = None) -> int:
        """From one vector of n keys to the next while the input never waits."""
        rows = self.rows(n) if rows is None else rows
        return max(rows, *(p * (self.groups(rows) + DigitStage.LATENCY) for p in self.passes if p > 1), 1)

    def most_cycles(self, n: int, rows: int | None = None) -> int:
        """See `TopKEngine`."""
        return self.cycles(n, rows)

    def latency(self, n: int, rows: int | None = None) -> int:
        """Cycles from the first row of a vector of n keys to its threshold at `o`, if nothing else is inside."""
        rows = self.rows(n) if rows is None else rows
        decided = rows - 1 + DigitHistogram.LATENCY + LowLatencyFifo.LATENCY
        for passes in self.passes[1:]:
            decided += passes * (self.groups(rows) + DigitStage.LATENCY) - 1 + LowLatencyFifo.LATENCY
        return decided

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, row = self.lanes, self.i.p
        taken = Signal()
        room = Signal(init=1)
        inside = Signal(range(self.max_vectors + 1), name="vectors_inside")
        leaves = Signal()
        full = Signal(len(self.group_depths))
        keys = Signal(data.ArrayLayout(self.key_bits, lanes))
        m.d.sync += [
            inside.eq(inside + (taken & row.last) - leaves), room.eq(inside < self.max_vectors - 1),
        ]
        m.d.comb += [
            self.i.ready.eq(room & ~full.any()),
            taken.eq(self.i.valid & self.i.ready),
            leaves.eq(self.o.valid & self.o.ready),
            # Dead lanes get a key of 0, which no counter counts.
            *[keys[j].eq(Mux(row.live[j], row.keys[j], 0)) for j in range(lanes)],
        ]

        def queue(number: int, valid, result, depth: int) -> stream.Interface:
            m.submodules[f"queue_{number}"] = fifo = LowLatencyFifo(result.shape(), depth)
            m.d.comb += [fifo.i.valid.eq(valid), fifo.i.payload.eq(result)]
            always_taken(m, fifo.i, f"queue {number} of thresholds")
            return fifo.o

        decided, digit = self.digits[0], 1
        done, result = self._first_digit(m, taken, keys)
        for number, (passes, depth) in enumerate(zip(self.passes[1:], self.group_depths, strict=True), 1):
            stage = DigitStage(decided, self.digits[digit:digit + passes], lanes, self.wide, self.max_n, depth)
            m.submodules[f"stage_{number}"] = stage
            wiring.connect(m, queue(number, done, result, depth), stage.cmd)
            m.d.comb += [
                stage.row_valid.eq(taken), stage.row_last.eq(row.last), full[number - 1].eq(stage.row_full),
                *[stage.row_keys[j].eq(keys[j][self.key_bits - stage.key_bits:]) for j in range(lanes)],
            ]
            done, result, decided, digit = stage.result_valid, stage.result, stage.key_bits, digit + passes

        found = queue(len(self.passes), done, result, self.max_vectors)
        m.d.comb += [
            self.o.valid.eq(found.valid), found.ready.eq(self.o.ready),
            self.o.p.threshold.eq(found.p.prefix),
            self.o.p.keep_equal.eq(narrow(-found.p.balance, self.count_bits)),
        ]
        engine_contracts(m, self)
        contract(m, inside != self.max_vectors, "no more vectors are inside than there is room for",
                 when=taken & row.last)
        contract(m, inside != 0, "only vectors that came leave", when=leaves)
        return m

    def _first_digit(self, m: Module, taken: Signal, keys: data.View):
        """Counts arriving rows by their keys' top digit. Returns valid and result, a `digit_command`."""
        top = self.digits[0]
        m.submodules.first_digit = histogram = DigitHistogram(top, self.lanes, self.count_bits)
        started = Signal()  # the vector's first row is in
        result = Signal(digit_command(top, self.count_bits))
        with m.If(taken):
            m.d.sync += started.eq(~self.i.p.last)
        m.d.comb += [
            histogram.valid.eq(taken), histogram.first.eq(~started), histogram.last.eq(self.i.p.last),
            histogram.balance.eq(-self.i.p.k),
            *[histogram.digits[j].eq(keys[j][self.key_bits - top:]) for j in range(self.lanes)],
            result.balance.eq(histogram.left), result.prefix.eq(histogram.digit),
        ]
        return histogram.done, result
