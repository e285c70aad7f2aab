"""A top-k engine at line rate: the threshold digit by digit, one vector per pipeline stage.

The paper's quick-select (SpAtten, section IV-B) takes some passes too many for long vectors; this one takes
none: each digit of the threshold is decided by a stage of its own, on a different vector.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory

from ..stream.fifo import StreamFifo
from .digit_histogram import DigitHistogram
from .digit_stage import DigitStage, digit_command
from .interface import TopKEngine
from .row_filter import RowFilter
from .selector import select_result


def split(total: int, parts: int) -> list[int]:
    """`total` in `parts` numbers that differ by at most 1, larger ones first."""
    return [total // parts + (p < total % parts) for p in range(parts)]


def plan(key_bits: int, digit_bits: int, digit_stages: int) -> tuple[list[int], list[int]]:
    """Widths of the key's digits, highest first, and how many of them each stage decides.

    The first stage sees a row only once: it decides one.
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

    The key is cut into digits of at most `digit_bits`. Arriving rows go into a ring memory and are counted by
    the first digit; later stages (`DigitStage`) read them again, each from a memory of its own with only the
    key bits it looks at, and the last reader (`RowFilter`) lets the kept elements through. Ring and queues are
    deep enough for any mix of lengths. Keys of more than `digit_stages` digits: the later stages take several
    passes per vector (`cycles`). `i.ready` depends on registers only; `o` comes from registers.

    Why 4 bits: a counter costs a 4-input comparator per lane and an adder tree. Keys of 12 bits take 3 × 15 of
    them and two more readings of the vector; 6 bits 2 × 63 and one; 3 bits 4 × 7 and three; 2 bits 6 × 3 and five,
    each with its memory, queue and pipeline registers.
    """

    #: Cycles through an empty queue, and from a vector's last row in one stage to its first row in the next.
    QUEUE_LATENCY = 2
    HANDOVER = DigitStage.LATENCY + QUEUE_LATENCY

    def __init__(self, key_bits: int, payload_bits: int, tag_bits: int, lanes: int, max_n: int, *,
                 digit_bits: int = 4, digit_stages: int = 3):
        super().__init__(key_bits, payload_bits, tag_bits, lanes, max_n)
        self.digits, self.passes = plan(key_bits, digit_bits, digit_stages)
        #: Rows that wait in the ring at full rate when the longest vectors come: one vector per stage.
        self.buffer_depth = len(self.passes) * (self.max_rows + self.HANDOVER) + 2
        #: Vectors between two stages: short ones collect behind a long one.
        self.queue_depth = self.max_rows + self.HANDOVER
        self.max_vectors = self.buffer_depth + RowFilter.DEPTH

    def cycles(self, n: int) -> int:
        """From one vector of n keys to the next while the input never waits."""
        rows = -(-n // self.lanes)
        return max(p * (rows + DigitStage.LATENCY) if p > 1 else rows for p in self.passes)

    def latency(self, n: int) -> int:
        """Cycles from the first row of a vector of n keys to its last row at `o`, if nothing else is inside."""
        rows = -(-n // self.lanes)
        first = rows + DigitHistogram.LATENCY + self.QUEUE_LATENCY
        later = sum(p * (rows + DigitStage.LATENCY) + self.QUEUE_LATENCY - 1 for p in self.passes[1:])
        return first + later + rows - 1 + RowFilter.LATENCY

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, depth = self.lanes, self.buffer_depth
        m.submodules.filter = row_filter = RowFilter(
            self.key_bits, self.payload_bits, self.tag_bits, lanes, self.max_n, depth)

        # Loading.
        row = self.i.p
        taken = Signal()
        room = Signal()
        rows_used = Signal(range(depth + 1))
        load_row = Signal.like(row_filter.buffer_row)
        m.d.comb += [
            self.i.ready.eq((rows_used != depth) & room),
            taken.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += rows_used.eq(rows_used + taken - row_filter.freed)
        with m.If(taken):
            m.d.sync += load_row.eq(Mux(load_row == depth - 1, 0, load_row + 1))

        def ring(name: str, elements: list, reader) -> Signal:
            """A copy of the rows' `elements`, read by `reader`; its output."""
            memory = Memory(shape=unsigned(sum(len(e) for e in elements)), depth=depth, init=[])
            m.submodules[name] = memory
            write, read = memory.write_port(), memory.read_port(transparent_for=())
            m.d.comb += [
                write.addr.eq(load_row), write.en.eq(taken), write.data.eq(Cat(elements)),
                read.addr.eq(reader.buffer_row), read.en.eq(reader.buffer_enable),
            ]
            return read.data

        # Every stage's results wait in a queue for the next one.
        results = self._first_digit(m, taken, room)
        decided, at = self.digits[0], 1
        for number, passes in enumerate(self.passes[1:], 1):
            stage = DigitStage(decided, self.digits[at:at + passes], self.tag_bits, lanes, self.max_n, depth)
            m.submodules[f"stage_{number}"] = stage
            wiring.connect(m, self._queue(m, f"queue_{number}", results), stage.cmd)
            m.d.comb += stage.buffer_keys.eq(
                ring(f"keys_{number}", [row.keys[j][self.key_bits - stage.key_bits:] for j in range(lanes)], stage))
            results, decided, at = stage.result, stage.key_bits, at + passes

        selection = stream.Signature(select_result(self.key_bits, self.tag_bits, self.count_bits)).create(
            path=("selection",))
        m.d.comb += [
            selection.valid.eq(results.valid), results.ready.eq(selection.ready),
            selection.p.n.eq(results.p.n), selection.p.tag.eq(results.p.tag),
            selection.p.threshold.eq(results.p.prefix), selection.p.keep_equal.eq(-results.p.balance),
        ]
        wiring.connect(m, self._queue(m, "queue_filter", selection), row_filter.cmd)
        m.d.comb += row_filter.buffer_data.eq(
            ring("elements", [Cat(row.keys[j], row.payloads[j]) for j in range(lanes)], row_filter))
        wiring.connect(m, row_filter.o, wiring.flipped(self.o))
        return m

    def _queue(self, m: Module, name: str, results):
        m.submodules[name] = queue = StreamFifo(results.p.shape(), self.queue_depth)
        m.d.comb += [
            queue.i.valid.eq(results.valid), queue.i.payload.eq(results.payload), results.ready.eq(queue.i.ready),
        ]
        return queue.o

    def _first_digit(self, m: Module, taken: Signal, room: Signal):
        """Counts arriving rows by their keys' top digit; the stream of results, `digit_command`."""
        lanes, count_bits, top = self.lanes, self.count_bits, self.digits[0]
        row = self.i.p
        vector = data.StructLayout({"n": unsigned(count_bits), "tag": unsigned(self.tag_bits)})
        m.submodules.first_digit = histogram = DigitHistogram(top, lanes, count_bits, vector.size)
        results = stream.Signature(digit_command(top, self.tag_bits, count_bits)).create(path=("first_result",))
        started = Signal()  # the vector's first row is in
        counted = Signal(count_bits)
        n = Signal(count_bits)
        row_valid = Signal()
        row_first = Signal()
        row_last = Signal()
        row_balance = Signal(signed(count_bits + 1))
        row_vector = Signal(vector)
        row_digits = Signal(data.ArrayLayout(unsigned(top), lanes))
        m.d.comb += n.eq(Mux(started, counted, 0) + row.count)
        with m.If(taken):
            m.d.sync += [started.eq(~row.last), counted.eq(n)]
        with m.If(room):
            m.d.sync += [
                row_valid.eq(taken), row_first.eq(~started), row_last.eq(row.last), row_balance.eq(-row.k),
                row_vector.n.eq(n), row_vector.tag.eq(row.tag),
            ]
            for j in range(lanes):
                m.d.sync += row_digits[j].eq(Mux(row.count > j, row.keys[j][self.key_bits - top:], 0))
        done = data.View(vector, histogram.done_about)
        m.d.comb += [
            room.eq(~results.valid | results.ready),
            histogram.enable.eq(room), histogram.valid.eq(row_valid), histogram.first.eq(row_first),
            histogram.last.eq(row_last), histogram.balance.eq(row_balance),
            histogram.about.eq(row_vector.as_value()), histogram.digits.eq(row_digits),
            results.valid.eq(histogram.done), results.p.n.eq(done.n), results.p.tag.eq(done.tag),
            results.p.balance.eq(histogram.left), results.p.prefix.eq(histogram.digit),
        ]
        return results
