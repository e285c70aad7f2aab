"""Bit-width converter: steps of rows to chunks of operands at on-chip width (SpAtten, Figure 8 and section IV-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.one_hot import any_of
from ..primitives.pipeline import PART, copies
from ..stream.read_layouts import operand_chunk
from .operand import cases, decoded, operand, operand_select
from .planes import SLOTS, covers_beats, piece_beats, piece_units, row_widths, slot_widths, slots_of
from .row_step import row_step


class ChunkConverter(wiring.Component):
    """Row steps → operand chunks; a chunk `LATENCY` = 2 cycles behind the step that emits it.

    First register: the planes' pieces (`planes.SLOTS`), as whole beats where a beat holds several. Second register: the
    chunk's pieces, each chosen from its beat, put together to operands: a static value with its sign, the value of an
    MSB plane · 2^4, four unsigned bits of an LSB plane, or these less 8.
    One step per cycle. While a chunk waits, nothing moves: `i.ready` is `o.ready` where there is a chunk.
    """

    LATENCY = 2

    #: steps of rows
    i: stream.Interface
    #: chunks of operands; from registers
    o: stream.Interface
    #: no chunk is inside, or on its way from the step that emits it
    idle: Signal

    def __init__(self, config: SpAttenConfig, note: data.StructLayout):
        self.config = c = config
        self.note = note
        super().__init__({
            "i": In(stream.Signature(row_step(c, note))), "o": Out(stream.Signature(operand_chunk(c, note))),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        step = self.i.payload
        move = Signal()
        m.d.comb += [move.eq(~self.o.valid | self.o.ready), self.i.ready.eq(move)]
        is_case = any_of((step.width == w) & ((step.shift & ~step.lsb) == s) for w, s in cases(c))
        contract(m, is_case & (~step.lsb | (step.width == 4)), "elements have a width of the build", when=self.i.valid)

        # First register: control bits of the chunk, its error so far, its pieces.
        emits = Signal()
        chunk = Signal(c.chunk_bits, reset_less=True)
        last = Signal(reset_less=True)
        error = Signal(reset_less=True)
        note = Signal(self.note.size, reset_less=True)
        parts = -(-c.chunk // PART)
        selects = copies(m, decoded(c, step.width, step.lsb, step.shift), parts, "select", en=move, reset=False)
        with m.If(move):
            m.d.sync += [emits.eq(self.i.valid & step.emit), chunk.eq(step.chunk), last.eq(step.last),
                         note.eq(Value.cast(step.note))]
        with m.If(self.i.valid & move):
            m.d.sync += error.eq((error & ~step.first) | (step.error & step.loads.any()))
        pieces = [self._piece(m, n, move) for n in range(SLOTS)]

        # Second register: the operands.
        o = self.o.payload
        out = Signal(o.shape(), name="out", reset_less=True)
        m.d.comb += [o.eq(out), self.idle.eq(~emits & ~self.o.valid)]
        operands = []
        for e in range(c.chunk):
            select = operand_select(c)(selects[e // PART])
            operands.append(operand(c, select, [self._element(piece, slot, e, select)
                                                for slot, piece in enumerate(pieces)]))
        with m.If(move):
            m.d.sync += [self.o.valid.eq(emits), out.chunk.eq(chunk), out.last.eq(last), out.error.eq(error),
                         Value.cast(out.note).eq(note), out.data.eq(Cat(operands))]
        return m

    def _piece(self, m: Module, slot: int, move: Value) -> list[Value]:
        """The register of a plane; the piece in it for each width that the plane may have."""
        c = self.config
        step = self.i.payload
        widths = slot_widths(c, slot)
        if not widths:
            return []
        # Beats of the longest piece, or the one that holds it.
        beats = max(piece_beats(c, w) for w in widths)
        register = Signal(beats * c.axi_data_bits, name=f"plane{slot}", reset_less=True)
        for part in range(beats):
            with m.If(self.i.valid & move & step.loads[slot] & (step.part == part if beats > 1 else 1)):
                m.d.sync += register[part * c.axi_data_bits:(part + 1) * c.axi_data_bits].eq(step.data)
        offset = getattr(step, f"offset{slot}")
        pieces: list[Value] = []
        for w in widths:
            size = c.chunk * w
            if covers_beats(c, w):
                pieces.append(register[:size])
                continue
            number = Signal(len(offset), name=f"place{slot}_{w}", reset_less=True)
            with m.If(move):
                m.d.sync += number.eq(offset)
            places = c.axi_data_bits // size
            skip = (piece_units(c, w) - 1).bit_length()
            contract(m, offset[:skip] == 0, f"pieces of {w} bits begin at a multiple of their size",
                     when=self.i.valid & step.emit & any_of(
                         step.width == full for full in row_widths(c) if slots_of(full).get(slot) == w))
            piece: Value = register
            for level in reversed(range((places - 1).bit_length())):
                half = len(piece) // 2
                piece = Mux(number[skip + level], piece[half:], piece[:half])
            pieces.append(piece)
        return pieces

    def _element(self, pieces: list[Value], slot: int, e: int, select: data.View) -> Value:
        """The bits of element `e` in a slot."""
        c = self.config
        bits = [piece[e * w:(e + 1) * w] for piece, w in zip(pieces, slot_widths(c, slot), strict=True)]
        if len(bits) < 2:
            return bits[0] if bits else Const(0, 1)
        # The last slot holds pairs of bits or, of elements of 16 bits, nibbles.
        return Mux(select.nibbles, bits[1], bits[0])

