"""Bit-width converter: words of rows to rows of operands at on-chip width (SpAtten, Figure 8 and section IV-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, SpAttenConfig
from ..stream.registers import PART, copies
from ..stream.skid import SpareBuffer
from .aligner import row_word
from .chunk import NARROW, QUARTERS, chunk_elements, chunk_places, chunk_quarters, section_elements
from .conversion import conversion, decoded, has_lsbs, operand, plane_widths


def lane_row(c: SpAttenConfig) -> data.StructLayout:
    """One row at on-chip width: `operands`, element e in bits e·W …, the elements beyond the row don't-care. `error`: a
    beat of it had an AXI error response."""
    return data.StructLayout({"operands": unsigned(c.max_dim * c.operand_bits), "error": 1})


class BitWidthConverter(wiring.Component):
    """The words `i` (`row_word`) of rows → rows `o` (`lane_row`), in order, one word per cycle.

    A row is converted chunk by chunk, not as a whole: a chunk is one section of a row (E elements) where its
    elements are of 8 bits or more, else two, so that it is never shorter than a word of 8·E bits and one per word keeps
    up. Four registers: the last words; a chunk, taken from them at one of a few places; its operands; the row, into
    whose sections they go. Latency `LATENCY` = 4 cycles from a row's last word. Rows of `hold` stay until those of
    `join` have been put below them; the two alternate. `o.ready` is cut. `idle`: no row inside.

    Why chunks: a converter for a row of 32 elements of 12 bits takes each of its 384 bits to five places, all of
    which cross; here it is 96 bits. (docs/fpga.md has what that did to routing.)
    """

    LATENCY = 4

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
        parts = -(-chunk_elements(c, NARROW) // PART)        # of a chunk, each with registers of its own that say how
        # Whether all registers move on, known a cycle ahead: in front, for the row, and in the middle.
        moves = Signal()
        ready, move, write = copies(m, moves, 3, "move", init=1)
        m.d.comb += self.i.ready.eq(ready)

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
        places = chunk_places(c, words)
        begins = Signal(len(places), reset_less=True)        # the place where this one does
        chosen = self._step("window")
        how = Signal(conversion(c), reset_less=True)
        these = Cat((at == s) | (narrow & (at == s - 1) if s % 2 else 0) for s in range(sections))
        with m.If(ready & self.i.valid):
            m.d.sync += [
                window.eq(Cat(window[c.axi_data_bits:], word.data)),
                waiting.eq(Mux(word.last, 0, there - Mux(cut, wanted, 0))),
                at.eq(Mux(word.last, 0, at + Mux(cut, Mux(narrow, 2, 1), 0))),
            ]
        with m.If(ready):
            m.d.sync += [
                begins.eq(Cat(there == words * QUARTERS - start for start in places)),
                chosen["valid"].eq(self.i.valid & cut),
                chosen["last"].eq(word.last), chosen["error"].eq(word.error), chosen["hold"].eq(word.mode.hold),
                chosen["lower"].eq(these & (self.i.valid & cut).replicate(sections)),
                chosen["upper"].eq(these & (self.i.valid & cut & ~word.mode.join).replicate(sections)),
                how.as_value().eq(decoded(c, word.mode)),
            ]

        # The chunk, from its bit 0.
        chunk = Signal(max(w * chunk_elements(c, w) for w in widths), reset_less=True)
        taken = self._step("chunk")
        value: Value = Const(0, len(chunk))
        for here, (start, length) in zip(begins, places.items(), strict=True):
            value = value | Mux(here, window[start * quarter:start * quarter + length], 0)
        with m.If(move):
            m.d.sync += chunk.eq(value)
        self._follow(m, taken, chosen, move)
        hows = copies(m, how.as_value(), parts, "chunk_how", en=move, reset=False)

        # Its operands. Statements per element, not one wide expression: a simulator pays for nested concatenations by
        # the square.
        operands = [Signal(c.operand_bits, name=f"operand_{e}", reset_less=True)
                    for e in range(chunk_elements(c, NARROW))]
        made = self._step("operands")
        for e, register in enumerate(operands):
            bits = {w: chunk[e * w:(e + 1) * w] for w in widths if e < chunk_elements(c, w)}
            with m.If(move):
                m.d.sync += register.eq(operand(c, conversion(c)(hows[e // PART]), bits))
        self._follow(m, made, taken, move)
        two = conversion(c)(hows[0]).width[:sum(w <= NARROW for w in widths)].any()
        twos = copies(m, two, parts, "operands_two", en=move, reset=False)     # they are for two sections

        # The row: a chunk's operands into their sections, LSBs below the operands that are there.
        m.submodules.catch = spare = SpareBuffer(lane_row(c))
        wiring.connect(m, spare.o, wiring.flipped(self.o))
        full, held, failed, fresh = Signal(), Signal(), Signal(), Signal(init=1)
        row = Signal(c.max_dim * c.operand_bits, reset_less=True)
        ends = made["valid"] & made["last"]
        m.d.comb += [
            # The row leaves, or there is none: it is full, and stays, or what comes completes one.
            moves.eq(~self.o.valid | self.o.ready | (write & ~(ends & ~made["hold"]))),
            spare.i.valid.eq(full), spare.i.payload.operands.eq(row),
            spare.i.payload.error.eq(failed),
            self.idle.eq(~(chosen["valid"] | taken["valid"] | made["valid"] | full | self.o.valid | held)
                         & fresh & (waiting == 0)),
        ]
        self._place(m, row, operands, twos, made, write)
        with m.If(write):
            m.d.sync += full.eq(ends & ~made["hold"])
            with m.If(made["valid"]):
                m.d.sync += fresh.eq(made["last"])
            with m.If(ends):
                m.d.sync += [held.eq(made["hold"]), failed.eq(made["error"] | (failed & held))]
        return m

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
        }

    def _follow(self, m: Module, later: dict, sooner: dict, move: Signal) -> None:
        """One step's registers take what those of the step before hold."""
        with m.If(move):
            m.d.sync += [later[key].eq(sooner[key]) for key in later]

    def _place(self, m: Module, row: Signal, operands: list[Signal], twos: list[Signal], made: dict,
               write: Signal) -> None:
        """`operands` into the sections of `row` that they are for, when `write`."""
        c = self.config
        bits, section = c.operand_bits, section_elements(c)
        low = LSB_WIDTH if has_lsbs(c) else bits
        for s in range(c.max_dim // section):
            lower, upper = Signal(name=f"write_lower_{s}"), Signal(name=f"write_upper_{s}")
            m.d.comb += [lower.eq(write & made["lower"][s]), upper.eq(write & made["upper"][s])]
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
