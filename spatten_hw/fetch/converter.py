"""Bit-width converter: beats from memory to rows at on-chip width (SpAtten, Figure 8 and section IV-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, PLANE_WIDTHS, SpAttenConfig, clog2
from .read_port import longest_row_beats, row_beat


def row_mode() -> data.StructLayout:
    """How a row's elements become operands; travels with the request.

    MSB plane: elements of `width` bits, sign-extended; `shift`: they are the upper bits of operands with an
    LSB plane (value · 2^4); `mid`: and get half an MSB step (bit 3 set). `lsb`: LSB plane, 4 unsigned bits.
    `hold`: no row yet, the next request completes it; `join`: this is that request, its bits are OR-ed in.
    """
    return data.StructLayout({"width": unsigned(5), "shift": 1, "mid": 1, "lsb": 1, "hold": 1, "join": 1})


def lane_row(c: SpAttenConfig) -> data.StructLayout:
    """One row at on-chip width: element e in bits e·W … e·W + W − 1 of `row` (beyond D: don't-care).

    `error`: a beat of it had an AXI error response.
    """
    return data.StructLayout({"row": unsigned(c.max_dim * c.operand_bits), "error": 1})


def max_row_bytes(c: SpAttenConfig) -> int:
    """Bytes of the longest plane row: max_dim elements as wide as an operand."""
    return c.max_dim * c.operand_bits // 8


class BitWidthConverter(wiring.Component):
    """Beats of rows `i` (`row_beat`, user = `row_mode`) → rows `o` (`lane_row`), in order.

    Each beat is rotated to byte 0 of the row and its bytes written to two neighbouring words of the raw row, so
    alignment costs no cycle. A raw row is unpacked into the output register, which frees it: one beat per
    cycle is accepted while a finished row waits, and one-beat rows leave one per cycle. Latency
    `LATENCY` = 3 cycles from a row's last beat. Valid input: `width` in PLANE_WIDTHS, width ≤ W, with
    `shift` width + 4 ≤ W; `hold` and `join` rows alternate. Not cut: `o.ready` → `i.ready`.
    """

    LATENCY = 3

    i: stream.Interface
    o: stream.Interface
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.widths = tuple(w for w in PLANE_WIDTHS if w <= c.operand_bits)
        super().__init__({
            "i": In(stream.Signature(row_beat(c, row_mode().size))),
            "o": Out(stream.Signature(lane_row(c))),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        nbytes, bb = c.beat_bytes, clog2(c.beat_bytes)
        beat = self.i.payload

        # Stage 1: rotated beat. Byte p of it belongs to row word `word` if p < bytes − offset, else to the
        # word before.
        turned_valid = Signal()
        turned = Signal(c.axi_data_bits)
        own = Signal(nbytes)                                 # bytes that belong to word `word`
        word = Signal(range(longest_row_beats(c, max_row_bytes(c)) + 1))
        turned_last = Signal()
        turned_error = Signal()
        turned_mode = Signal(row_mode())
        take_turned = Signal()
        m.d.comb += self.i.ready.eq(~turned_valid | take_turned)
        rotated: Value = beat.data
        for k in range(bb):
            amount = 8 << k
            rotated = Mux(beat.offset[k], Cat(rotated[amount:], rotated[:amount]), rotated)
        with m.If(self.i.ready):
            m.d.sync += turned_valid.eq(self.i.valid)
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [
                turned.eq(rotated), turned_last.eq(beat.last), turned_error.eq(beat.error),
                word.eq(Mux(beat.first, 0, word + 1)), turned_mode.eq(beat.user),
                own.eq(Cat(Const(p, bb + 1) + beat.offset < nbytes for p in range(nbytes))),
            ]

        # Stage 2: the raw row.
        words = -(-max_row_bytes(c) // nbytes)
        raw = Signal(words * c.axi_data_bits)
        raw_full = Signal()
        raw_error = Signal()
        raw_fresh = Signal(init=1)                           # the next beat is the first of a row
        selects = Signal(len(self.widths))                   # one-hot width
        mode = Signal(row_mode())
        take_raw = Signal()
        m.d.comb += take_turned.eq(turned_valid & (~raw_full | take_raw))
        for w in range(words):
            written = Signal(nbytes, name=f"bytes_of_word{w}")
            mask = Signal(c.axi_data_bits, name=f"mask_of_word{w}")
            stored = raw.word_select(w, c.axi_data_bits)
            m.d.comb += [
                written.eq(Mux(word == w, own, 0) | Mux(word == w + 1, ~own, 0)),
                mask.eq(Cat(written[p].replicate(8) for p in range(nbytes))),
            ]
            with m.If(take_turned):
                m.d.sync += stored.eq((stored & ~mask) | (turned & mask))
        with m.If(take_turned):
            m.d.sync += [
                raw_error.eq(turned_error | (raw_error & ~raw_fresh)), raw_fresh.eq(turned_last),
                mode.eq(turned_mode), selects.eq(Cat(turned_mode.width == w for w in self.widths)),
            ]
        with m.If(take_turned & turned_last):
            m.d.sync += raw_full.eq(1)
        with m.Elif(take_raw):
            m.d.sync += raw_full.eq(0)

        # Stage 3: operands.
        held = Signal()                                      # the output register waits for its LSBs
        operands = self._operands(m, raw, selects, mode)
        m.d.comb += take_raw.eq(raw_full & (~self.o.valid | self.o.ready))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take_raw):
            m.d.sync += [
                self.o.valid.eq(~mode.hold), held.eq(mode.hold),
                self.o.payload.row.eq(operands | Mux(mode.join, self.o.payload.row, 0)),
                self.o.payload.error.eq(raw_error | (mode.join & self.o.payload.error)),
            ]
        m.d.comb += self.idle.eq(~(turned_valid | raw_full | held | self.o.valid | ~raw_fresh))
        return m

    def _operands(self, m: Module, raw: Value, selects: Value, mode) -> Value:
        """All elements at on-chip width. Every signal here is a whole row, so that the Verilog stays short."""
        w_out, dim = self.config.operand_bits, self.config.max_dim
        row = w_out * dim
        plain: Value = Const(0, row)
        for s, w in enumerate(self.widths):
            extended = Signal(row, name=f"width{w}")
            tops = [raw[e * w + w - 1].replicate(w_out - w) for e in range(dim)]
            m.d.comb += extended.eq(Cat(Cat(raw[e * w:(e + 1) * w], tops[e]) for e in range(dim)))
            plain = plain | Mux(selects[s], extended, 0)
        msb = Signal(row, name="msb_plane")
        m.d.comb += msb.eq(plain)
        if w_out < LSB_WIDTH + self.widths[0]:
            return msb      # no room for an LSB plane in this build
        shifted = Signal(row, name="msb_plane_shifted")
        low = Signal(row, name="lsb_plane")
        operands = Signal(row, name="operands")
        middle = Cat(Const(0, LSB_WIDTH - 1), mode.mid)
        m.d.comb += [
            shifted.eq(Cat(Cat(middle, msb[e * w_out:(e + 1) * w_out - LSB_WIDTH]) for e in range(dim))),
            low.eq(Cat(Cat(raw[e * LSB_WIDTH:(e + 1) * LSB_WIDTH], Const(0, w_out - LSB_WIDTH))
                       for e in range(dim))),
            operands.eq(Mux(mode.lsb, low, Mux(mode.shift, shifted, msb))),
        ]
        return operands
