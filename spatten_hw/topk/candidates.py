"""Storage of quick-select's candidates: two FIFO memories, samples of what is in them, and the row that is read."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory

from ..primitives.pipeline import copies, delay
from .pivot import PivotChooser, RowSampler

#: What a pass reads: the input buffer, or one of the FIFO memories.
INPUT, BELOW, ABOVE = range(3)


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
