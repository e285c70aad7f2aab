"""A top-k engine at line rate: the threshold digit by digit, one vector per pipeline stage.

The paper's quick-select (SpAtten, section IV-B) needs too many passes for long vectors. This engine does without:
each digit of the threshold is decided by a stage of its own, and the stages work on different vectors.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring

from ..contract import always_taken, contract
from ..primitives.widths import narrow
from ..stream.fifo import StreamFifo
from ..stream.low_latency_fifo import LowLatencyFifo
from ..stream.skid import connect_cut
from .digit_histogram import DigitHistogram
from .digit_stage import DigitStage, digit_command
from .interface import TopKEngine
from .key_groups import KeyGroups
from .row_filter import RowFilter
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

    The key is cut into digits of at most `digit_bits`. Arriving rows are counted by the first digit and stored, once
    per later stage (`DigitStage`, only the key bits it needs) and once for the filter. A stage reads `wide` rows
    per cycle, so that it adds ⌈rows / wide⌉ cycles to a vector's latency; the last reader (`RowFilter`) lets the
    kept elements through. Memories are deep enough for any mix of lengths; a queue in front of a reader is as
    deep as the reader's memory, so nothing but the filter ever stalls. Keys of more than `digit_stages` digits: the
    later stages take several passes per vector (`cycles`). `i.ready` depends on registers only; `o` comes from
    registers.

    Why digits of 4 bits: a counter costs a 4-input comparator per lane and an adder tree. Keys of 12 bits then take 15
    counters and 2 × 15 of `wide` times the lanes. Digits of 6 bits would take 63 and 63 wide ones, those of 3 bits 7
    and 3 × 7 wide ones. Each later stage also costs a memory, a queue and four cycles.
    """

    def __init__(self, key_bits: int, payload_bits: int, tag_bits: int, lanes: int, max_n: int, *,
                 digit_bits: int = 4, digit_stages: int = 3, wide: int = 4):
        if wide < 1:
            raise ValueError(f"wide must be at least 1, not {wide}")
        super().__init__(key_bits, payload_bits, tag_bits, lanes, max_n)
        self.digits, self.passes = plan(key_bits, digit_bits, digit_stages)
        #: Rows that a later stage reads per cycle.
        self.wide = min(wide, self.max_rows)
        # A vector occupies a single-pass stage no longer than it took to arrive. So one longest vector is the most
        # work that waits for a stage, and a vector is decided at most `within` cycles after its last row. Until then
        # the memory holds its groups (or rows), and one more per cycle.
        longest = self.groups(max_n)
        within = DigitHistogram.LATENCY + LowLatencyFifo.LATENCY
        #: Groups of `wide` rows that each later stage keeps.
        self.group_depths: list[int] = []
        #: Rows that wait for the filter.
        self.row_depth = self.max_rows
        for passes in self.passes[1:]:
            within += longest + DigitStage.LATENCY
            self.group_depths.append(longest + within + KeyGroups.SPARE)
            # Several passes: room for the vector that the stage works on.
            self.row_depth += self.max_rows if passes > 1 else 0
        # One more: `room` is a cycle late.
        self.row_depth += within + LowLatencyFifo.LATENCY + 1
        self.max_vectors = self.row_depth + RowFilter.DEPTH

    def rows(self, n: int) -> int:
        """Rows of a vector of n keys."""
        return -(-n // self.lanes)

    def groups(self, n: int) -> int:
        """Cycles that one pass of a later stage over n keys takes."""
        return -(-self.rows(n) // self.wide)

    def cycles(self, n: int) -> int:
        """From one vector of n keys to the next while the input never waits."""
        return max(self.rows(n), *(p * (self.groups(n) + DigitStage.LATENCY) for p in self.passes if p > 1), 1)

    def most_cycles(self, n: int) -> int:
        """See `TopKEngine`."""
        return self.cycles(n)

    def latency(self, n: int) -> int:
        """Cycles from the first row of a vector of n keys to its last row at `o`, if nothing else is inside.

        One more if the kept elements of its last row do not fit into the output row they would complete.
        """
        decided = self.rows(n) - 1 + DigitHistogram.LATENCY + LowLatencyFifo.LATENCY
        for passes in self.passes[1:]:
            decided += passes * (self.groups(n) + DigitStage.LATENCY) - 1 + LowLatencyFifo.LATENCY
        return decided + self.rows(n) - 1 + RowFilter.LATENCY

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, row = self.lanes, self.i.p
        m.submodules.filter = row_filter = RowFilter(
            self.key_bits, self.payload_bits, self.tag_bits, lanes, self.max_n)
        m.submodules.elements = elements = StreamFifo(row_filter.rows.p.shape(), self.row_depth)

        taken = Signal()
        room = Signal(init=1)
        full = Signal(len(self.group_depths))
        keys = Signal(data.ArrayLayout(self.key_bits, lanes))
        m.d.sync += room.eq(elements.level < self.row_depth - 1)
        m.d.comb += [
            self.i.ready.eq(room & ~full.any()),
            taken.eq(self.i.valid & self.i.ready),
            elements.i.valid.eq(taken), elements.i.p.count.eq(row.count), elements.i.p.last.eq(row.last),
            elements.i.p.tag.eq(row.tag),
            Cat(elements.i.p.elements).eq(Cat(Cat(row.keys[j], row.payloads[j]) for j in range(lanes))),
            # Lanes without an element get a key of 0, which no counter counts.
            *[keys[j].eq(Mux(row.count > j, row.keys[j], 0)) for j in range(lanes)],
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

        found = queue(len(self.passes), done, result, self.row_depth)
        m.d.comb += [
            row_filter.cmd.valid.eq(found.valid), found.ready.eq(row_filter.cmd.ready),
            row_filter.cmd.p.threshold.eq(found.p.prefix),
            row_filter.cmd.p.keep_equal.eq(narrow(-found.p.balance, self.count_bits)),
        ]
        connect_cut(m, "rows", elements.o, row_filter.rows)
        wiring.connect(m, row_filter.o, wiring.flipped(self.o))
        engine_contracts(m, self)
        contract(m, elements.i.ready, "the queue of elements is never full", when=taken)
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
