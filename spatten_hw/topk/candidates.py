"""Quick-select's candidates: two FIFO memories, samples of what is in them, and how they are read row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory

from ..config import clog2
from ..primitives.pipeline import copies, delay
from ..primitives.ring import next_in_ring
from ..primitives.widths import wrap
from .pivot import PivotChooser, RandomBits, RowSampler
from .splitter import Splitter

if TYPE_CHECKING:
    from .threshold_search import ThresholdSearch

#: What a pass reads: the input buffer, or one of the FIFO memories.
INPUT, BELOW, ABOVE = range(3)


def buffer_row(key_bits: int, lanes: int) -> data.StructLayout:
    """A row of the input buffer: keys, those with a bit in `live`."""
    return data.StructLayout({"keys": data.ArrayLayout(unsigned(key_bits), lanes), "live": unsigned(lanes)})


def first_row(key_bits: int) -> int:
    """Cycles from the address of a row to the row: memory, multiplexer of the memories. Wide keys also have a register
    behind each memory, for which there is time while the pivot is chosen."""
    return 3 if key_bits > PivotChooser.WIDE else 2


@dataclass(frozen=True)
class Side:
    """Keys on one side of the pivot: `row` at the address given, `first_row` − 1 cycles later, and random `samples` of
    them."""

    row: Value
    samples: data.View


def store_side(m: Module, name: str, side: stream.Interface, address: Value, max_rows: int, count: int,
               random: Value) -> Side:
    """Stores the rows of `side` in a memory of `max_rows`, from row 0 again after a `last` one, and takes `count`
    samples of the full rows by the `random` bits. A row may be overwritten from the cycle on in which `address` reads
    it."""
    keys: data.ArrayLayout = side.p.elements.shape()
    m.submodules[f"{name}_fifo"] = memory = Memory(shape=unsigned(keys.size), depth=max_rows, init=[])
    write, read = memory.write_port(), memory.read_port(transparent_for=())
    row_number = Signal(range(max(2, max_rows)), name=f"{name}_row")
    m.d.comb += [
        write.addr.eq(row_number), write.data.eq(side.p.elements.as_value()), write.en.eq(side.valid),
        read.addr.eq(address), read.en.eq(1),
    ]
    with m.If(side.valid):
        m.d.sync += row_number.eq(Mux(side.p.last, 0, row_number + 1))
    width = keys.elem_shape.width
    row = behind_memory(m, read.data, width, name)
    m.submodules[f"{name}_sampler"] = sampler = RowSampler(width, keys.length, count, max_rows)
    m.d.comb += [
        # Only full rows: what lies behind the last keys is left over.
        sampler.valid.eq(side.valid), sampler.live.eq((side.p.count == keys.length).replicate(keys.length)),
        sampler.last.eq(side.p.last),
        sampler.keys.eq(side.p.elements), sampler.random.eq(random),
    ]
    return Side(row, sampler.samples)


def behind_memory(m: Module, row: Value, key_bits: int, name: str) -> Value:
    """`row`, the output of a memory, with a register if keys are wide."""
    return delay(m, row, first_row(key_bits) - 2, f"{name}_stored")


def choose_row(m: Module, source: Value, arriving: Value, below: Value, above: Value, buffered: Value,
               keys: data.ArrayLayout) -> data.View:
    """The row of `source`, held from the cycle after `arriving` until the next one. `source` must be valid from
    the cycle before on; `below`, `above`, `buffered`: rows of the two sides and of the input buffer, in the shape
    `keys`."""
    width = keys.elem_shape.width
    row = Signal(keys, reset_less=True)
    # A select bit per memory and lane: rows are wide, and the memories lie apart.
    from_below = copies(m, source == BELOW, keys.length, "from_below")
    from_above = copies(m, source == ABOVE, keys.length, "from_above")
    for lane in range(keys.length):
        key = slice(lane * width, (lane + 1) * width)
        with m.If(arriving):
            m.d.sync += row[lane].eq(Mux(from_below[lane], below[key],
                                         Mux(from_above[lane], above[key], buffered[key])))
    return row


@dataclass(frozen=True)
class CandidateRows:
    """The candidates, read row by row with `reading`: `first` comes with the first row's address, `row_index` is its
    number, `rows_left` of the input buffer and `remaining` keys of a side are still to be read, `single`: they are all
    in one row, `last_now`: this is the last one. `first_row` cycles later `row` is `valid`, with `live` lanes; `last`.
    """

    reading: Signal
    first: Signal
    row_index: Signal
    rows_left: Signal
    remaining: Signal
    single: Signal
    last_now: Signal
    row: data.View
    valid: Signal
    live: Signal
    last: Signal
    below: Side
    above: Side


def read_candidates(m: Module, search: ThresholdSearch, source: Signal, size: Signal, splitter: Splitter,
                    random: RandomBits) -> CandidateRows:
    """The path of the rows from the memories to the splitter."""
    lanes, count_bits, key_bits = search.lanes, search.count_bits, search.key_bits
    # Reading: address, and what is left: rows of the input buffer, which bring their live lanes with them, or keys
    # of a side; the row follows `first_row` cycles later.
    reading = Signal()
    first = Signal()
    row_index = Signal(range(max(2, search.max_rows)))
    rows_left = Signal(range(search.max_rows + 1))
    remaining = Signal(count_bits)
    single = Signal()  # the candidates are in one row
    live_now = Signal(lanes)
    last_now = Signal()
    row_valid = Signal()
    row_live = Signal(lanes)
    row_last = Signal()
    m.d.comb += [
        last_now.eq(Mux(source == INPUT, rows_left == 1, remaining <= lanes)),
        single.eq(Mux(source == INPUT, rows_left == 1, size <= lanes)),
        live_now.eq(Cat(remaining > j for j in range(lanes))),
    ]
    arriving = delay(m, reading, search.first_row - 1, "arriving", reset=True)
    arriving_live = delay(m, live_now, search.first_row - 1, "arriving_live")
    arriving_last = delay(m, last_now, search.first_row - 1, "arriving_last")
    m.d.sync += row_valid.eq(arriving)
    with m.If(reading):
        m.d.sync += [
            rows_left.eq(rows_left - 1), remaining.eq(wrap(remaining - lanes, count_bits)),
            row_index.eq(row_index + 1),
            search.buffer_row.eq(next_in_ring(search.buffer_row, search.buffer_depth)),
        ]
    side_row = wrap(row_index, max(1, clog2(search.side_rows)))
    below = store_side(m, "below", splitter.below_keys, side_row, search.side_rows, search.samples, random.following)
    above = store_side(m, "above", splitter.above_keys, side_row, search.side_rows, search.samples, ~random.following)
    buffered = behind_memory(m, search.buffer_out.keys.as_value(), key_bits, "buffer")
    buffered_live = behind_memory(m, search.buffer_out.live, key_bits, "buffer_live")
    with m.If(arriving):
        m.d.sync += [row_live.eq(Mux(source == INPUT, buffered_live, arriving_live)), row_last.eq(arriving_last)]
    row = choose_row(m, source, arriving, below.row, above.row, buffered, search.buffer_out.keys.shape())
    return CandidateRows(reading, first, row_index, rows_left, remaining, single, last_now, row, row_valid, row_live,
                         row_last, below, above)
