"""The paper's top-k engine: buffer, quick-select, filter (SpAtten, section IV-B, Figure 11)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from ..config import clog2
from ..contract import contract
from ..primitives.registers import NO_COLLISIONS
from ..primitives.ring import next_in_ring
from ..stream.fifo import StreamFifo
from ..stream.skid import HalfBuffer, connect_cut
from .interface import TopKEngine
from .pivot import PivotChooser, RandomBits, RowSampler
from .row_filter import RowFilter, filter_command
from .rules import engine_contracts
from .threshold_search import ThresholdSearch, select_command


class QuickSelect(TopKEngine):
    """`TopKEngine` by quick-select.

    Vectors are loaded into a ring of three vectors' rows, one row per cycle; meanwhile an earlier vector's
    threshold is searched (`ThresholdSearch`) and a still earlier one is filtered (`RowFilter`), one row per cycle.
    k ≥ n skips the search. `i.ready` depends on registers only; `o` comes from registers.

    `waiting`: vectors that may wait between loading and search, and as many between search and filter. From 4 on,
    vectors of one row that are kept whole follow each other in every cycle. With 1, for a user with one vector at a
    time, each takes up to 3 cycles, and the samples and thresholds that wait are in a register instead of
    look-up-table memory four words deep.
    """

    def __init__(self, key_bits: int, payload_bits: int, tag_bits: int, lanes: int, max_n: int, waiting: int = 4):
        super().__init__(key_bits, payload_bits, tag_bits, lanes, max_n)
        self.waiting = waiting
        self.buffer_depth = max(16, 3 * self.max_rows)
        self.max_vectors = self.buffer_depth + RowFilter.DEPTH
        #: Random candidates a pivot is chosen from; the comparators grow with the square of their number.
        self.samples = 8 if key_bits <= PivotChooser.WIDE else 4
        self._selector = ThresholdSearch(key_bits, lanes, max_n, self.buffer_depth, self.samples)

    def worst_case_cycles(self, n: int) -> int:
        """Most cycles that the search for the threshold of any vector of n keys takes."""
        return self._selector.worst_case_cycles(n)

    def most_cycles(self, n: int) -> int:
        """See `TopKEngine`: the search, and the filter, which takes the vector's rows and may have waited for it."""
        return self.worst_case_cycles(n) + -(-n // self.lanes) + 12

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, count_bits, depth = self.lanes, self.count_bits, self.buffer_depth
        address = clog2(depth)
        m.submodules.selector = selector = self._selector
        m.submodules.filter = row_filter = RowFilter(
            self.key_bits, self.payload_bits, self.tag_bits, lanes, self.max_n)
        m.submodules.loaded = loaded = _queue(
            select_command(self.key_bits, self.samples, count_bits, address), self.waiting)
        m.submodules.selected = selected = _queue(filter_command(self.key_bits, count_bits), self.waiting)
        # Two readers: the search's first pass needs keys, the filter everything.
        m.submodules.key_buffer = key_buffer = Memory(
            shape=unsigned(lanes * self.key_bits), depth=depth, init=[], attrs=NO_COLLISIONS)
        # Never full while `rows_used` leaves room.
        m.submodules.elements = elements = StreamFifo(row_filter.rows.p.shape(), depth)
        m.submodules.random = random = RandomBits()
        m.submodules.sampler = sampler = RowSampler(self.key_bits, lanes, self.samples, self.max_rows)

        # Loading.
        row = self.i.p
        taken = Signal()
        rows_used = Signal(range(depth + 1))
        freed = Signal()
        space = Signal(init=1)
        load_row = Signal(address)
        start = Signal(address)
        started = Signal()  # the vector's first row is in
        counted = Signal(count_bits)
        k_held = Signal(count_bits)
        n = Signal(count_bits)
        k = Signal(count_bits)
        m.d.comb += [
            self.i.ready.eq(space & loaded.i.ready),
            taken.eq(self.i.valid & self.i.ready),
            n.eq(Mux(started, counted, 0) + row.count),
            k.eq(Mux(started, k_held, row.k)),
        ]
        # Room is counted a cycle late: the signal that a row is used is on a long path.
        m.d.sync += [
            freed.eq(row_filter.freed), rows_used.eq(rows_used + taken - freed),
            space.eq((rows_used != depth) & ~(taken & (rows_used == depth - 1))),
        ]
        with m.If(taken):
            m.d.sync += [
                load_row.eq(next_in_ring(load_row, depth)),
                started.eq(~row.last), counted.eq(n), k_held.eq(k),
            ]
            with m.If(~started):
                m.d.sync += start.eq(load_row)
        m.d.comb += [
            sampler.valid.eq(taken), sampler.full.eq(row.count == lanes), sampler.last.eq(row.last),
            sampler.keys.eq(row.keys), sampler.random.eq(random.following),
            loaded.i.valid.eq(self.i.valid & space & row.last),
            loaded.i.p.start.eq(Mux(started, start, load_row)), loaded.i.p.n.eq(n), loaded.i.p.k.eq(k),
            loaded.i.p.keep_all.eq(k >= n), loaded.i.p.samples.eq(sampler.samples),
        ]
        key_write, key_read = key_buffer.write_port(), key_buffer.read_port(transparent_for=())
        m.d.comb += [
            key_write.addr.eq(load_row), key_write.en.eq(taken), key_write.data.eq(row.keys.as_value()),
            elements.i.valid.eq(taken), elements.i.p.count.eq(row.count), elements.i.p.last.eq(row.last),
            elements.i.p.tag.eq(row.tag),
            Cat(elements.i.p.elements).eq(Cat(Cat(row.keys[j], row.payloads[j]) for j in range(lanes))),
            key_read.addr.eq(selector.buffer_row), key_read.en.eq(1),
            selector.buffer_keys.eq(key_read.data),
        ]
        wiring.connect(m, loaded.o, selector.cmd)
        wiring.connect(m, selector.result, selected.i)
        wiring.connect(m, selected.o, row_filter.cmd)
        connect_cut(m, "rows", elements.o, row_filter.rows)
        wiring.connect(m, row_filter.o, wiring.flipped(self.o))
        engine_contracts(m, self)
        contract(m, rows_used <= depth, "no more rows are used than the buffer has")
        contract(m, elements.i.ready, "the queue of elements is never full", when=taken)
        contract(m, freed <= (rows_used != 0), "only rows in use are freed")
        return m


def _queue(shape: ShapeLike, depth: int) -> StreamFifo | HalfBuffer:
    return HalfBuffer(shape) if depth == 1 else StreamFifo(shape, depth)
