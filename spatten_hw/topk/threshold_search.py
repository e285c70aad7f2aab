"""Finds the k-th largest key of a buffered vector by quick-select (SpAtten, section IV-B)."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..contract import contract, contracts_on
from ..primitives.pipeline import delay
from ..stream.layouts import threshold as threshold_layout
from .candidates import ABOVE, BELOW, INPUT, buffer_row, first_row, read_candidates
from .pivot import PivotChooser, RandomBits
from .splitter import Splitter


def select_command(key_bits: int, samples: int, count: int, address: int, max_rows: int) -> data.StructLayout:
    """A loaded vector: n live keys in `rows` rows from buffer row `start`, k to keep; `keep_all` if k ≥ n; random
    `samples`."""
    return data.StructLayout({
        "start": unsigned(address), "rows": range(max_rows + 1), "n": unsigned(count), "k": unsigned(count),
        "keep_all": 1,
        "samples": data.ArrayLayout(unsigned(key_bits), samples),
    })


class ThresholdSearch(wiring.Component):
    """One `cmd` in, one `result` out, in order.

    A pass reads the candidates (first the input buffer, later one of the two FIFO memories), a row of
    `lanes` per cycle, and splits them around a pivot into the two FIFO memories; the one that cannot hold
    the k-th largest key is discarded. The memory that is read is overwritten behind the reader. When at
    most one row of candidates is left, every one of them is tried as the pivot, one per cycle. Pivots are
    random samples of the candidates; after `random_passes` of them, each is the middle of the remaining key
    range, which bounds the number of passes: `worst_case_cycles`.

    `buffer_row` addresses the input buffer (`buffer_depth` rows, a ring); `buffer_out`, its keys and live lanes, is
    valid one cycle later. A vector with `keep_all` takes one cycle.
    """

    #: Cycles of the final tries beyond one per candidate and the latency of their row.
    PROBE_CYCLES = 8
    #: Cycles per vector for taking the command and handing over the result.
    VECTOR_CYCLES = 3

    cmd: stream.Interface
    result: stream.Interface
    buffer_row: Signal
    buffer_out: data.View

    def __init__(self, key_bits: int, lanes: int, max_n: int, max_rows: int, buffer_depth: int, samples: int):
        self.key_bits = key_bits
        self.lanes = lanes
        #: Rows of the longest vector in the input buffer, and of its candidates later.
        self.max_rows = max_rows
        self.side_rows = min(max_rows, -(-max_n // lanes))
        self.count_bits = max_n.bit_length()
        self.buffer_depth = buffer_depth
        self.samples = samples
        self.random_passes = clog2(self.max_rows) + 4
        #: Cycles from the address of a row to the row.
        self.first_row = first_row(key_bits)
        self._chooser = PivotChooser(key_bits, samples, self.count_bits)
        #: Cycles of a pass beyond one per row.
        self.pass_cycles = 4 + self._chooser.latency
        address = max(1, clog2(buffer_depth))
        super().__init__({
            "cmd": In(stream.Signature(select_command(key_bits, samples, self.count_bits, address, max_rows))),
            "result": Out(stream.Signature(threshold_layout(key_bits, self.count_bits))),
            "buffer_row": Out(address),
            "buffer_out": In(buffer_row(key_bits, lanes)),
        })

    def worst_case_cycles(self, n: int, rows: int | None = None) -> int:
        """No vector of n keys takes more cycles: each pivot in the middle halves the range of the keys. `rows` that it
        is in, without dead lanes unless given; later passes never read more."""
        passes = self.random_passes + self.key_bits + 1
        rows = -(-n // self.lanes) if rows is None else rows
        if rows == 1:
            passes = 0
        return passes * (rows + self.pass_cycles) + self.first_row + self.PROBE_CYCLES + self.lanes + self.VECTOR_CYCLES

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, count_bits, key_bits = self.lanes, self.count_bits, self.key_bits
        m.submodules.splitter = splitter = Splitter(key_bits, lanes, count_bits)
        m.submodules.chooser = chooser = self._chooser
        m.submodules.random = random = RandomBits()

        # What is left to search: the `k`-th largest of `size` keys in `source`, all in low … high.
        source = Signal(2)
        size = Signal(count_bits)
        k = Signal(count_bits)
        low = Signal(key_bits)
        high = Signal(key_bits)
        passes = Signal(range(self.random_passes + 1))

        # Reading of the candidates, a row per cycle with `reading`.
        rows = read_candidates(m, self, source, size, splitter, random)
        reading, remaining, row_index, rows_left = rows.reading, rows.remaining, rows.row_index, rows.rows_left

        # The pivot: in a pass from the chooser, in time for the first row; in a try the next candidate.
        pivot = Signal(key_bits)
        probing = Signal()
        trying = Signal()
        candidate = Signal(range(max(2, lanes)))
        tried = Signal()
        first_arriving = delay(m, rows.first, self.first_row - 1, "first_arriving", reset=True)
        m.d.comb += [
            chooser.k.eq(k), chooser.size.eq(size), chooser.low.eq(low), chooser.high.eq(high),
            chooser.middle.eq(passes == self.random_passes),
        ]
        with m.Switch(source):
            with m.Case(BELOW):
                m.d.comb += chooser.samples.eq(rows.below.samples)
            with m.Case(ABOVE):
                m.d.comb += chooser.samples.eq(rows.above.samples)
            with m.Default():
                m.d.comb += chooser.samples.eq(self.cmd.p.samples)
        m.d.sync += tried.eq(trying)
        with m.If(trying):
            m.d.sync += pivot.eq(rows.row[candidate])
        with m.Elif(first_arriving & ~probing):
            m.d.sync += pivot.eq(chooser.pivot)
        m.d.comb += [
            splitter.valid.eq((rows.valid & ~probing) | tried), splitter.probe.eq(tried),
            splitter.keys.eq(rows.row), splitter.live.eq(rows.live), splitter.last.eq(rows.last),
            splitter.pivot.eq(pivot),
        ]

        # Decision at the end of a pass (or for one candidate).
        above_k = Signal()
        found = Signal()
        rest = Signal(count_bits)
        threshold = Signal(key_bits)
        keep_equal = Signal(count_bits)
        m.d.comb += [
            above_k.eq(k <= splitter.above),
            found.eq(~above_k & (k <= splitter.above_equal)),
            rest.eq(k - splitter.above_equal),
        ]

        choosing = [*(f"CHOOSE_{n}" for n in range(chooser.latency - self.first_row)), "PASS"]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.result.p.keep_equal.eq(self.cmd.p.n)
                m.d.comb += self.result.valid.eq(self.cmd.valid & self.cmd.p.keep_all)
                m.d.comb += self.cmd.ready.eq(self.cmd.p.keep_all & self.result.ready)
                m.d.sync += [
                    source.eq(INPUT), size.eq(self.cmd.p.n), rows_left.eq(self.cmd.p.rows), k.eq(self.cmd.p.k),
                    passes.eq(0),
                    low.eq(0), high.eq((1 << key_bits) - 1), self.buffer_row.eq(self.cmd.p.start),
                ]
                with m.If(self.cmd.valid & ~self.cmd.p.keep_all):
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                contract(m, (k != 0) & (k <= size), "the k-th largest is among the candidates")
                m.d.sync += [
                    remaining.eq(size), row_index.eq(0), probing.eq(rows.single), candidate.eq(0),
                ]
                with m.If(rows.single):
                    m.next = "SETTLE"
                with m.Else():
                    m.next = choosing[0]
                    m.d.sync += rows.first.eq(choosing[0] == "PASS")
            # With wide keys, choosing the pivot takes longer than reading the first row.
            for state, following in pairwise(choosing):
                with m.State(state):
                    m.d.sync += rows.first.eq(following == "PASS")
                    m.next = following
            with m.State("PASS"):
                m.d.comb += reading.eq(1)
                m.d.sync += rows.first.eq(0)
                with m.If(rows.last_now):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(splitter.done):
                    m.d.sync += [
                        passes.eq(passes + (passes != self.random_passes)),
                        threshold.eq(splitter.done_pivot), keep_equal.eq(k - splitter.above),
                    ]
                    # Not used any more if the k-th key is found.
                    with m.If(above_k):
                        m.d.sync += [
                            source.eq(ABOVE), size.eq(splitter.above),
                            low.eq(splitter.done_pivot + 1),
                        ]
                    with m.Else():
                        m.d.sync += [
                            source.eq(BELOW), size.eq(size - splitter.above_equal), k.eq(rest),
                            high.eq(splitter.done_pivot - 1),
                        ]
                    m.next = "PREPARE"
                    with m.If(found):
                        m.next = "REPORT"
            with m.State("SETTLE"):
                # The final row of a side leaves its packer in this cycle.
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += reading.eq(1)
                m.next = "ROW_1"
            for n in range(1, self.first_row):
                with m.State(f"ROW_{n}"):
                    m.next = f"ROW_{n + 1}" if n + 1 < self.first_row else "TRY"
            with m.State("TRY"):
                m.d.comb += trying.eq(1)
                m.d.sync += candidate.eq(candidate + 1)
                # A dead lane as the pivot does no harm: it counts as none, and if a live key equals it, it may be it.
                with m.If(candidate == lanes - 1):
                    m.next = "TRIED"
                _leave_if_found(m, splitter, found, threshold, keep_equal, k)
            with m.State("TRIED"):
                _leave_if_found(m, splitter, found, threshold, keep_equal, k)
            with m.State("REPORT"):
                m.d.comb += [
                    splitter.clear.eq(1), self.result.valid.eq(1), self.cmd.ready.eq(self.result.ready),
                    self.result.p.threshold.eq(threshold), self.result.p.keep_equal.eq(keep_equal),
                ]
                with m.If(self.result.ready):
                    m.next = "IDLE"
        if contracts_on():
            worst = self.worst_case_cycles(self.max_rows * lanes, self.max_rows)
            spent = Signal(range(worst + 2))
            m.d.sync += spent.eq(Mux(self.cmd.valid & ~self.cmd.ready & ~self.result.valid, spent + 1, 0))
            contract(m, spent <= worst, "no search takes longer than the worst case")
        contract(m, (self.cmd.p.k != 0) & (self.cmd.p.n != 0), "k and n are at least 1", when=self.cmd.valid)
        contract(m, (self.cmd.p.k >= self.cmd.p.n) == self.cmd.p.keep_all, "all are kept if k is n or more",
                 when=self.cmd.valid)
        contract(m, Mux(source == INPUT, rows_left != 0, remaining != 0), "only rows of candidates are read",
                 when=reading)
        contract(m, row_index < Mux(source == INPUT, self.max_rows, self.side_rows), "rows read are there",
                 when=reading)
        return m


def _leave_if_found(m: Module, splitter: Splitter, found: Signal, threshold: Signal, keep_equal: Signal,
                    k: Signal) -> None:
    """Ends the tries when one candidate is the k-th largest. Until then, each result overwrites the one before."""
    with m.If(splitter.done):
        m.d.sync += [threshold.eq(splitter.done_pivot), keep_equal.eq(k - splitter.above)]
        with m.If(found):
            m.next = "REPORT"
