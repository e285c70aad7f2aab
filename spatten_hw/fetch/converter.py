"""Bit-width converter: words of rows to rows of operands at on-chip width (SpAtten, Figure 8 and section IV-D)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, SpAttenConfig
from ..contract import at_most_one, contract
from ..primitives.one_hot import one_hot_mux
from ..primitives.pipeline import PART, copies
from ..primitives.widths import wrap
from ..stream.skid import SpareBuffer
from .aligner import row_word
from .chunk import (
    NARROW,
    QUARTERS,
    chunk_elements,
    chunk_places,
    chunk_quarters,
    chunk_words,
    longest_wait,
    row_sections,
    section_elements,
)
from .conversion import conversion, decoded, has_lsbs, operand, plane_widths


def port_row(c: SpAttenConfig) -> data.StructLayout:
    """One row at on-chip width: `operands`, element e in bits e·W …, the elements beyond the row don't-care. `error`: a
    beat of it had an AXI error response."""
    return data.StructLayout({"operands": unsigned(c.max_dim * c.operand_bits), "error": 1})


class _Step:
    """Control bits of the chunk in a register. `valid`: there is one; `last`: of its plane's row, and with it `error`:
    a beat of that row failed, `hold`: LSBs are to come. `lower`, `upper`: the sections that the chunk is written to,
    for the bits of LSBs and for the bits above."""

    def __init__(self, c: SpAttenConfig, name: str):
        self.valid = Signal(name=f"{name}_valid")
        self.last, self.error, self.hold = (
            Signal(name=f"{name}_{key}", reset_less=True) for key in ("last", "error", "hold"))
        self.lower, self.upper = (
            Signal(row_sections(c), name=f"{name}_{key}", reset_less=True) for key in ("lower", "upper"))

    def follow(self, m: Module, before: _Step, move: Signal) -> None:
        """Takes what the register before holds."""
        with m.If(move):
            m.d.sync += [getattr(self, key).eq(value) for key, value in vars(before).items()]


class BitWidthConverter(wiring.Component):
    """The words `i` (`row_word`) of rows → rows `o` (`port_row`), in order, one word per cycle.

    A row is converted chunk by chunk, not as a whole. A chunk is one section of a row (E elements) if its elements
    have 8 bits or more, else two. So it is never shorter than a word of 8·E bits, and one chunk per word keeps up. Four
    pipeline registers: the last words; a chunk, taken from them at one of a few places; its operands; the row, into
    whose sections they are written. Latency `LATENCY` = 4 cycles from a row's last word. A row of `hold` stays until
    the row of `join` has been written below it; the two alternate. `o.ready` is cut. `idle`: no row inside.

    Why chunks: a converter for a row of 32 elements of 12 bits connects each of its 384 bits to five places, and all
    these wires cross; here it is 96 bits. (docs/fpga-findings.md has the effect on routing.)
    """

    LATENCY = 4

    i: stream.Interface
    o: stream.Interface
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(row_word(c))), "o": Out(stream.Signature(port_row(c))), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        # Clock enable of all registers, known a cycle ahead; a copy each for words, chunk and operands, row.
        moves = Signal()
        ready, move, write = copies(m, moves, 3, "move", init=1)
        m.d.comb += self.i.ready.eq(ready)
        window = Signal(chunk_words(c) * c.axi_data_bits, reset_less=True)       # the last words
        begins = Signal(len(chunk_places(c)), reset_less=True)                   # the place of the chunk there
        selects = Signal(conversion(c), reset_less=True)
        in_window, waiting = _Step(c, "window"), Signal(range(longest_wait(c) + 1))   # quarters not in a chunk yet
        self._words(m, ready, window, begins, selects, in_window, waiting)
        in_chunk, in_operands = _Step(c, "chunk"), _Step(c, "operands")
        in_chunk.follow(m, in_window, move)
        in_operands.follow(m, in_chunk, move)
        operands, twos = self._operands(m, move, window, begins, selects)

        # The row, and the spare register that catches it.
        m.submodules.catch = spare = SpareBuffer(port_row(c))
        wiring.connect(m, spare.o, wiring.flipped(self.o))
        row = Signal(c.max_dim * c.operand_bits, reset_less=True)
        self._place(m, write, row, operands, twos, in_operands)
        full = Signal()
        held = Signal()                                      # the row waits for its LSBs
        failed = Signal()
        fresh = Signal(init=1)                               # the next chunk is the first of its plane's row
        ends = in_operands.valid & in_operands.last
        completes = ends & ~in_operands.hold
        m.d.comb += [
            # Registers stop when the output stalls and the row register stays full or becomes full.
            moves.eq(~self.o.valid | self.o.ready | (write & ~completes)),
            spare.i.valid.eq(full), spare.i.payload.operands.eq(row), spare.i.payload.error.eq(failed),
            self.idle.eq(~(in_window.valid | in_chunk.valid | in_operands.valid | full | self.o.valid | held)
                         & fresh & (waiting == 0)),
        ]
        with m.If(write):
            m.d.sync += full.eq(completes)
            with m.If(in_operands.valid):
                m.d.sync += fresh.eq(in_operands.last)
            with m.If(ends):
                m.d.sync += [held.eq(in_operands.hold), failed.eq(in_operands.error | (failed & held))]
        contract(m, ~(held & in_operands.hold), "a row that waits for its LSBs is completed next", when=ends)
        contract(m, begins.any() & at_most_one(begins), "a chunk begins in one place", when=in_window.valid)
        return m

    def _words(self, m: Module, ready: Signal, window: Signal, begins: Signal, selects: data.View, in_window: _Step,
               waiting: Signal) -> None:
        """Takes the next word into `window`; finds whether it completes a chunk, which one, and its conversion."""
        c = self.config
        sections = row_sections(c)
        word = self.i.payload
        available = Signal(range(longest_wait(c) + QUARTERS + 1))  # quarters with this word
        wanted = Signal(range(2 * QUARTERS + 1))                   # quarters of a chunk
        section = Signal(range(max(2, sections)))                  # of the next chunk
        two_sections = Signal()
        completes_chunk = Signal()
        m.d.comb += [
            available.eq(waiting + QUARTERS), completes_chunk.eq((available >= wanted) | word.last),
            two_sections.eq(word.mode.width <= NARROW),
        ]
        with m.Switch(word.mode.width):
            for w in plane_widths(c):
                with m.Case(w):
                    m.d.comb += wanted.eq(chunk_quarters(w))
        with m.If(ready & self.i.valid):
            m.d.sync += [
                window.eq(Cat(window[c.axi_data_bits:], word.data)),
                waiting.eq(Mux(word.last, 0, wrap(available - Mux(completes_chunk, wanted, 0), len(waiting)))),
                section.eq(Mux(word.last, 0,
                               wrap(section + Mux(completes_chunk, Mux(two_sections, 2, 1), 0), len(section)))),
            ]
        contract(m, wanted != 0, "a row's elements have a width of the build", when=self.i.valid)
        contract(m, section < sections, "chunks lie in the row", when=self.i.valid)
        written = Cat((section == s) | (two_sections & (section == s - 1) if s % 2 else 0) for s in range(sections))
        with m.If(ready):
            m.d.sync += [
                begins.eq(Cat(available == chunk_words(c) * QUARTERS - start for start in chunk_places(c))),
                selects.as_value().eq(decoded(c, word.mode)), in_window.valid.eq(self.i.valid & completes_chunk),
                in_window.last.eq(word.last), in_window.error.eq(word.error), in_window.hold.eq(word.mode.hold),
                in_window.lower.eq(written & (self.i.valid & completes_chunk).replicate(sections)),
                in_window.upper.eq(written & (self.i.valid & completes_chunk & ~word.mode.join).replicate(sections)),
            ]

    def _operands(self, m: Module, move: Signal, window: Signal, begins: Signal,
                  selects: data.View) -> tuple[list[Signal], list[Signal]]:
        """Registers the chunk from its bit 0, and a cycle later its operands. Returns the operands, and whether they
        are for two sections (a copy for each part of a section)."""
        c = self.config
        widths = plane_widths(c)
        quarter = c.axi_data_bits // QUARTERS
        chunk = Signal(max(w * chunk_elements(c, w) for w in widths), reset_less=True)
        with m.If(move):
            m.d.sync += chunk.eq(one_hot_mux(begins, [window[start * quarter:start * quarter + length]
                                                      for start, length in chunk_places(c).items()]))
        number = chunk_elements(c, NARROW)
        chunk_selects = copies(m, selects.as_value(), -(-number // PART), "chunk_selects", en=move, reset=False)
        operands = [Signal(c.operand_bits, name=f"operand_{e}", reset_less=True) for e in range(number)]
        # A statement per element: a simulator's time grows with the square of nested concatenations.
        for e, register in enumerate(operands):
            bits = {w: chunk[e * w:(e + 1) * w] for w in widths if e < chunk_elements(c, w)}
            with m.If(move):
                m.d.sync += register.eq(operand(c, conversion(c)(chunk_selects[e // PART]), bits))
        width = conversion(c)(chunk_selects[0]).width
        two = Cat(bit for w, bit in zip(widths, width, strict=True) if w <= NARROW).any()
        return operands, copies(m, two, -(-section_elements(c) // PART), "operands_two", en=move, reset=False)

    def _place(self, m: Module, write: Signal, row: Signal, operands: list[Signal], twos: list[Signal],
               in_operands: _Step) -> None:
        """Writes `operands` into their sections of `row`: all bits, or only those of LSBs."""
        c = self.config
        bits, section = c.operand_bits, section_elements(c)
        low = LSB_WIDTH if has_lsbs(c) else bits
        for s in range(row_sections(c)):
            lower = Signal(name=f"write_lower_{s}")
            upper = Signal(name=f"write_upper_{s}")
            m.d.comb += [lower.eq(write & in_operands.lower[s]), upper.eq(write & in_operands.upper[s])]
            for e in range(section):
                value: Value = operands[e]
                if s % 2:
                    value = Mux(twos[e // PART], operands[section + e], value)
                place = row[(s * section + e) * bits:(s * section + e + 1) * bits]
                with m.If(lower):
                    m.d.sync += place[:low].eq(value[:low])
                if low < bits:
                    with m.If(upper):
                        m.d.sync += place[low:].eq(value[low:])
