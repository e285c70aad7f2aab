"""Bit-width converter: words of rows to rows of operands at on-chip width (SpAtten, Figure 8 and section IV-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, SpAttenConfig
from ..stream.registers import PART
from ..stream.skid import SpareBuffer
from .aligner import row_word
from .conversion import conversion, decoded, has_lsbs, operand, plane_widths

#: Widest elements of which a chunk has two octets' worth, see `BitWidthConverter`.
NARROW = 6
#: Parts of a word in which the places of chunks are told: every chunk is a whole number of them.
QUARTERS = 4


def lane_row(c: SpAttenConfig) -> data.StructLayout:
    """One row at on-chip width: `operands`, element e in bits e·W …, the elements beyond the row don't-care. `error`: a
    beat of it had an AXI error response."""
    return data.StructLayout({"operands": unsigned(c.max_dim * c.operand_bits), "error": 1})


def section_elements(c: SpAttenConfig) -> int:
    """Elements of a section of a row, which a chunk of wide elements holds: as many as a word has bytes."""
    return min(c.beat_bytes, c.max_dim)


def chunk_quarters(width: int) -> int:
    """Quarters of a word that a chunk of elements of `width` bits takes: 4 … 8."""
    return width if width <= QUARTERS else width * (2 if width <= NARROW else 1) // 2


class BitWidthConverter(wiring.Component):
    """The words `i` (`row_word`) of rows → rows `o` (`lane_row`), in order, one word per cycle.

    A row is converted chunk by chunk, not as a whole: a chunk is one section of a row (`section_elements`, E) where its
    elements are of 8 bits or more, else two, so that it is never shorter than a word of 8·E bits and one per word keeps
    up. Three registers: the last words; a chunk, taken from them at one of a few places; the row, into whose sections
    its operands go. Latency `LATENCY` = 3 cycles from a row's last word. Rows of `hold` stay until those of `join` have
    been put below them; the two alternate. `o.ready` is cut. `idle`: no row inside.

    Why chunks: a converter for a row of 32 elements of 12 bits takes each of its 384 bits to five places, all of
    which cross; here it is 96 bits. (docs/fpga.md has what that did to routing.)
    """

    LATENCY = 3

    i: stream.Interface
    o: stream.Interface
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(row_word(c))), "o": Out(stream.Signature(lane_row(c))), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        quarter = c.axi_data_bits // QUARTERS
        widths = plane_widths(c)
        section = section_elements(c)
        sections = c.max_dim // section
        # A chunk of 14 bits may begin in the word before the last.
        words = 3 if max(widths) > 12 else 2
        move = Signal()
        m.d.comb += self.i.ready.eq(move)

        # The last words, and whether the newest one completes a chunk.
        word = self.i.payload
        window = Signal(words * c.axi_data_bits, reset_less=True)
        waiting = Signal(range(QUARTERS + 3))                # quarters of the row there before this word
        there = Signal(range(2 * QUARTERS + 3))              # … and with it
        wanted = Signal(range(2 * QUARTERS + 1))             # quarters of a chunk
        at = Signal(range(max(2, sections)))                 # section of the next chunk
        narrow = Signal()
        cut = Signal()
        m.d.comb += [
            there.eq(waiting + QUARTERS), cut.eq((there >= wanted) | word.last), narrow.eq(word.mode.width <= NARROW),
        ]
        with m.Switch(word.mode.width):
            for w in widths:
                with m.Case(w):
                    m.d.comb += wanted.eq(chunk_quarters(w))
        # Where chunks can begin, in quarters → the bits that may be needed from there.
        places: dict[int, int] = {}
        for w in widths:
            for start in _places(chunk_quarters(w), words):
                places[start] = max(places.get(start, 0), w * self._elements(w))
        begins = Signal(len(places), reset_less=True)        # the place where this one does
        chosen = self._step("window")
        these = Cat((at == s) | (narrow & (at == s - 1) if s % 2 else 0) for s in range(sections))
        with m.If(move & self.i.valid):
            m.d.sync += [
                window.eq(Cat(window[c.axi_data_bits:], word.data)),
                waiting.eq(Mux(word.last, 0, there - Mux(cut, wanted, 0))),
                at.eq(Mux(word.last, 0, at + Mux(cut, Mux(narrow, 2, 1), 0))),
            ]
        with m.If(move):
            m.d.sync += [
                begins.eq(Cat(there == words * QUARTERS - start for start in places)),
                chosen["valid"].eq(self.i.valid & cut),
                chosen["last"].eq(word.last), chosen["error"].eq(word.error), chosen["hold"].eq(word.mode.hold),
                chosen["lower"].eq(these & (self.i.valid & cut).replicate(sections)),
                chosen["upper"].eq(these & (self.i.valid & cut & ~word.mode.join).replicate(sections)),
                *(own.eq(decoded(c, word.mode)) for own in chosen["how"]),
            ]

        # The chunk, from its bit 0.
        chunk = Signal(max(w * self._elements(w) for w in widths), reset_less=True)
        taken = self._step("chunk")
        value: Value = Const(0, len(chunk))
        for here, (start, length) in zip(begins, places.items(), strict=True):
            value = value | Mux(here, window[start * quarter:start * quarter + length], 0)
        with m.If(move):
            m.d.sync += [chunk.eq(value), *(Value.cast(x).eq(Value.cast(y)) for x, y in self._pairs(taken, chosen))]

        # The row: a chunk's operands into their sections, LSBs below the operands that are there.
        m.submodules.catch = spare = SpareBuffer(lane_row(c))
        wiring.connect(m, spare.o, wiring.flipped(self.o))
        full, held, failed, fresh = Signal(), Signal(), Signal(), Signal(init=1)
        row = Signal(c.max_dim * c.operand_bits, reset_less=True)
        m.d.comb += [
            move.eq(~full | spare.i.ready), spare.i.valid.eq(full), spare.i.payload.operands.eq(row),
            spare.i.payload.error.eq(failed),
            self.idle.eq(~(chosen["valid"] | taken["valid"] | full | self.o.valid | held) & fresh & (waiting == 0)),
        ]
        self._convert(m, row, chunk, taken, move)
        ends = taken["valid"] & taken["last"]
        with m.If(move):
            m.d.sync += full.eq(ends & ~taken["hold"])
            with m.If(taken["valid"]):
                m.d.sync += fresh.eq(taken["last"])
            with m.If(ends):
                m.d.sync += [held.eq(taken["hold"]), failed.eq(taken["error"] | (failed & held))]
        return m

    def _elements(self, width: int) -> int:
        """Elements of `width` bits in a chunk."""
        section = section_elements(self.config)
        return min(self.config.max_dim, 2 * section) if width <= NARROW else section

    def _copies(self) -> int:
        """Registers that say how a chunk is converted: one for every `PART` of its elements."""
        return -(-self._elements(NARROW) // PART)

    def _step(self, name: str) -> dict:
        """What is known of the chunk in a register."""
        c = self.config
        sections = c.max_dim // section_elements(c)
        return {
            "valid": Signal(name=f"{name}_valid"),
            **{key: Signal(name=f"{name}_{key}", reset_less=True) for key in ("last", "error", "hold")},
            # Sections that it is written to: the bits where LSBs are, the others.
            "lower": Signal(sections, name=f"{name}_lower", reset_less=True),
            "upper": Signal(sections, name=f"{name}_upper", reset_less=True),
            "how": [Signal(conversion(c), name=f"{name}_how_{n}", reset_less=True, attrs={"keep": 1})
                    for n in range(self._copies())],
        }

    def _pairs(self, later: dict, sooner: dict):
        """Registers of a step and those of the step before."""
        for key in later:
            if key == "how":
                yield from zip(later[key], sooner[key], strict=True)
            else:
                yield later[key], sooner[key]

    def _convert(self, m: Module, row: Signal, chunk: Signal, taken: dict, move: Signal) -> None:
        """The operands of `chunk` into the sections of `row` that it is for."""
        c = self.config
        bits, section = c.operand_bits, section_elements(c)
        operands = []
        # Statements per element, not one wide expression: a simulator pays for nested concatenations by the square.
        for e in range(self._elements(NARROW)):
            value = Signal(bits, name=f"operand_{e}")
            elements = {w: chunk[e * w:(e + 1) * w] for w in plane_widths(c) if e < self._elements(w)}
            m.d.comb += value.eq(operand(c, taken["how"][e // PART], elements))
            operands.append(value)
        for s in range(c.max_dim // section):
            lower, upper = Signal(name=f"write_lower_{s}"), Signal(name=f"write_upper_{s}")
            m.d.comb += [lower.eq(move & taken["lower"][s]), upper.eq(move & taken["upper"][s])]
            for e in range(section):
                value = operands[e]
                if s % 2:
                    second = taken["how"][e // PART].width[:sum(w <= NARROW for w in plane_widths(c))].any()
                    value = Mux(second, operands[section + e], value)
                place = row[(s * section + e) * bits:(s * section + e + 1) * bits]
                low = LSB_WIDTH if has_lsbs(c) else bits
                with m.If(lower):
                    m.d.sync += place[:low].eq(value[:low])
                if low < bits:
                    with m.If(upper):
                        m.d.sync += place[low:].eq(value[low:])


def _places(wanted: int, words: int) -> set[int]:
    """Where in the last `words` words chunks of `wanted` quarters can begin, in quarters, whether or not their row
    ends before they do."""
    places, waiting = set(), 0
    while True:
        there = waiting + QUARTERS
        places.add(words * QUARTERS - there)
        waiting = there - wanted if there >= wanted else there
        if waiting == 0:
            return places
