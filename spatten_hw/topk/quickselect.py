"""The paper's top-k engine: buffer and quick-select (SpAtten, section IV-B, Figure 11)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from ..config import clog2
from ..contract import contract
from ..primitives.adder_tree import balanced_sum
from ..primitives.registers import NO_COLLISIONS
from ..primitives.ring import next_in_ring
from ..primitives.widths import narrow
from ..stream.fifo import StreamFifo
from ..stream.layouts import threshold
from ..stream.skid import HalfBuffer
from .candidates import buffer_row
from .interface import TopKEngine
from .pivot import PivotChooser, RandomBits, RowSampler
from .rules import engine_contracts
from .threshold_search import ThresholdSearch, select_command


class QuickSelect(TopKEngine):
    """`TopKEngine` by quick-select.

    Vectors are loaded into a ring of two vectors' rows, one row per cycle, and counted a cycle later; meanwhile an
    earlier vector's threshold is searched (`ThresholdSearch`). Dead lanes are eliminated by the search's first pass,
    which they take no part in. k ≥ n skips the search. `i.ready` depends on registers only; `o` comes from registers.

    `waiting`: vectors that may wait between loading and search, and as many thresholds at `o`. From 4 on, vectors of
    one row that are kept whole follow each other in every cycle. With 1, for a user with one vector at a time, each
    takes up to 4 cycles, and the samples and thresholds that wait are in a register instead of look-up-table memory
    four words deep.
    """

    def __init__(self, key_bits: int, lanes: int, max_n: int, max_rows: int | None = None, waiting: int = 4):
        super().__init__(key_bits, lanes, max_n, max_rows)
        self.waiting = waiting
        self.buffer_depth = max(16, 2 * self.max_rows)
        self.thresholds = waiting
        self.max_vectors = self.buffer_depth + waiting + 1
        self.row_depth = self.buffer_depth + self.max_rows + 8
        #: Random candidates a pivot is chosen from; the comparators grow with the square of their number.
        self.samples = 8 if key_bits <= PivotChooser.WIDE else 4
        self._selector = ThresholdSearch(key_bits, lanes, max_n, self.max_rows, self.buffer_depth, self.samples)

    def worst_case_cycles(self, n: int, rows: int | None = None) -> int:
        """Most cycles that the search for the threshold of any vector of n keys takes."""
        return self._selector.worst_case_cycles(n, rows)

    def most_cycles(self, n: int, rows: int | None = None) -> int:
        """See `TopKEngine`: the search, which may have waited until the vector's rows were loaded."""
        return self.worst_case_cycles(n, rows) + (self.rows(n) if rows is None else rows) + 12

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, count_bits, depth = self.lanes, self.count_bits, self.buffer_depth
        address = max(1, clog2(depth))
        m.submodules.selector = selector = self._selector
        m.submodules.loaded = loaded = _queue(
            select_command(self.key_bits, self.samples, count_bits, address, self.max_rows), self.waiting)
        m.submodules.found = found = _queue(threshold(self.key_bits, count_bits), self.waiting)
        layout = buffer_row(self.key_bits, lanes)
        m.submodules.buffer = buffer = Memory(
            shape=unsigned(layout.size), depth=depth, init=[], attrs=NO_COLLISIONS)
        m.submodules.random = random = RandomBits()
        m.submodules.sampler = sampler = RowSampler(self.key_bits, lanes, self.samples, self.max_rows)

        # Loading. A row's live keys are counted and added in the cycle after it came: `counted`.
        row = self.i.p
        taken = Signal()
        rows_used = Signal(range(depth + 1))
        space = Signal(init=1)
        load_row = Signal(address)
        started = Signal()  # the vector's first row is in
        counted = Signal()
        counted_live = Signal(range(lanes + 1), reset_less=True)
        counted_first = Signal()
        counted_last = Signal()
        counts = Signal()
        start = Signal(address)
        k = Signal(count_bits)
        rows = Signal(range(self.max_rows + 1))
        n = Signal(count_bits)
        total = Signal(count_bits)
        m.d.comb += [
            # A vector that is counted may have to wait for room in the queue.
            counts.eq(loaded.i.ready | ~(counted & counted_last)),
            self.i.ready.eq(space & counts), taken.eq(self.i.valid & self.i.ready),
            total.eq(narrow(Mux(counted_first, 0, n) + counted_live, count_bits)),
        ]
        with m.If(counts):
            m.d.sync += counted.eq(taken)
            with m.If(counted):
                m.d.sync += n.eq(total)
        with m.If(taken):
            m.d.sync += [
                load_row.eq(next_in_ring(load_row, depth)), started.eq(~row.last),
                counted_live.eq(balanced_sum(list(row.live))), counted_first.eq(~started), counted_last.eq(row.last),
                rows.eq(narrow(Mux(started, rows, 0) + 1, len(rows))),
            ]
            with m.If(~started):
                m.d.sync += [start.eq(load_row), k.eq(row.k)]
        m.d.comb += [
            sampler.valid.eq(taken), sampler.live.eq(row.live), sampler.last.eq(row.last),
            sampler.keys.eq(row.keys), sampler.random.eq(random.following),
            loaded.i.valid.eq(counted & counted_last),
            loaded.i.p.start.eq(start), loaded.i.p.n.eq(total), loaded.i.p.k.eq(k), loaded.i.p.rows.eq(rows),
            loaded.i.p.keep_all.eq(k >= total), loaded.i.p.samples.eq(sampler.samples),
        ]

        # Rows are given back when their vector's threshold is found. Room is counted a cycle late: that is on a long
        # path.
        freed = Signal(range(self.max_rows + 1))
        m.d.sync += [
            freed.eq(Mux(loaded.o.valid & loaded.o.ready, loaded.o.p.rows, 0)),
            rows_used.eq(rows_used + taken - freed),
            space.eq((rows_used != depth) & ~(taken & (rows_used == depth - 1))),
        ]
        write, read = buffer.write_port(), buffer.read_port(transparent_for=())
        stored = Signal(layout)
        m.d.comb += [
            stored.keys.eq(row.keys), stored.live.eq(row.live),
            write.addr.eq(load_row), write.en.eq(taken), write.data.eq(stored.as_value()),
            read.addr.eq(selector.buffer_row), read.en.eq(1), selector.buffer_out.eq(read.data),
        ]
        wiring.connect(m, loaded.o, selector.cmd)
        wiring.connect(m, selector.result, found.i)
        wiring.connect(m, found.o, wiring.flipped(self.o))
        engine_contracts(m, self)
        contract(m, rows_used <= depth, "no more rows are used than the buffer has")
        contract(m, rows_used != depth, "a row finds room", when=taken)
        contract(m, freed <= rows_used, "only rows in use are freed")
        return m


def _queue(shape: ShapeLike, depth: int) -> StreamFifo | HalfBuffer:
    return HalfBuffer(shape) if depth == 1 else StreamFifo(shape, depth)
