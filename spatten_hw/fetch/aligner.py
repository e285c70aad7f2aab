"""Aligner: beats from memory to raw rows that begin at bit 0."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import LSB_WIDTH, SpAttenConfig
from ..stream.registers import payload_register
from ..stream.skid import SpareBuffer
from .read_port import longest_row_beats, row_beat


def row_mode() -> data.StructLayout:
    """How a row's elements become operands; travels with the request.

    MSB plane: elements of `width` bits, sign-extended; `shift`: they are the upper bits of operands with an
    LSB plane (value · 2^4); `mid`: and get half an MSB step (bit 3 set). `lsb`: LSB plane, 4 unsigned bits.
    `hold`: no row yet, the next request completes it; `join`: this is that request, its bits are OR-ed in.
    """
    return data.StructLayout({"width": unsigned(5), "shift": 1, "mid": 1, "lsb": 1, "hold": 1, "join": 1})


def lane_row(c: SpAttenConfig) -> data.StructLayout:
    """One row as it lies in memory: element e of an MSB (or LSB) plane in bits e·width … of `raw`.

    `mode`: of the request that completed the row. With `mode.join`, `raw` holds both planes: the MSBs from bit 0,
    the LSBs from bit `join_offset`, and `mode.width` is the MSBs'. `error`: a beat of it had an AXI error response.
    """
    return data.StructLayout({"raw": unsigned(c.max_dim * c.operand_bits), "mode": row_mode(), "error": 1})


def join_offset(c: SpAttenConfig) -> int:
    """Where the LSB plane's bits begin in a raw row of both planes: behind the widest MSBs that have LSBs."""
    return c.max_dim * (c.operand_bits - LSB_WIDTH)


def max_row_bytes(c: SpAttenConfig) -> int:
    """Bytes of the longest plane row: max_dim elements as wide as an operand."""
    return c.max_dim * c.operand_bits // 8


class Aligner(wiring.Component):
    """Beats of rows `i` (`row_beat`, user = `row_mode`) → raw rows `o` (`lane_row`), in order.

    Each beat is rotated to byte 0 of the row and its bytes written to two neighbouring words of the row being
    assembled, so alignment costs no cycle. A complete row moves to the output register: one beat per cycle
    is accepted while a finished row waits, and one-beat rows leave one per cycle. Latency
    `LATENCY` = 3 cycles from a row's last beat. Valid input: `hold` and `join` rows alternate. Bits beyond a row's
    last byte are don't-care. `o.ready` is cut: it decides about registers as wide as a row in three places.
    """

    LATENCY = 3

    i: stream.Interface
    o: stream.Interface
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(row_beat(c, row_mode().size))),
            "o": Out(stream.Signature(lane_row(c))),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        nbytes = c.beat_bytes
        beat = self.i.payload

        # Stage 1: rotated beat. Byte p of it belongs to row word `word` if p < bytes − offset, else to the
        # word before.
        turned_valid = Signal()
        turned = Signal(c.axi_data_bits, reset_less=True)
        own = Signal(nbytes, reset_less=True)                                 # bytes that belong to word `word`
        word = Signal(range(longest_row_beats(c, max_row_bytes(c)) + 1))
        turned_last = Signal()
        turned_error = Signal()
        turned_mode = Signal(row_mode())
        take_turned = Signal()
        m.d.comb += self.i.ready.eq(~turned_valid | take_turned)
        # Rotation as one shift of the doubled beat: a simulator computes it only for a beat, stages of multiplexers
        # always; a synthesiser shares its two halves.
        rotated = (Cat(beat.data, beat.data) >> Cat(Const(0, 3), beat.offset))[:c.axi_data_bits]
        with m.If(self.i.ready):
            m.d.sync += turned_valid.eq(self.i.valid)
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [
                turned.eq(rotated), turned_last.eq(beat.last), turned_error.eq(beat.error),
                word.eq(Mux(beat.first, 0, word + 1)), turned_mode.eq(beat.user),
                own.eq(Const((1 << nbytes) - 1, nbytes) >> beat.offset),
            ]

        # Stage 2: the row being assembled.
        words = -(-max_row_bytes(c) // nbytes)
        raw = Signal(words * c.axi_data_bits, reset_less=True)
        raw_full = Signal()
        raw_error = Signal()
        raw_fresh = Signal(init=1)                           # the next beat is the first of a row
        mode = Signal(row_mode())
        take_raw = Signal()
        m.d.comb += take_turned.eq(turned_valid & (~raw_full | take_raw))
        # Byte by byte, not through a wide mask: a simulator does nothing for the words that no beat goes to. One
        # assignment to a byte: of two, of the same value, synthesis does not always make one clock enable.
        for w in range(words):
            stored = raw.word_select(w, c.axi_data_bits)
            with m.If(take_turned & ((word == w) | (word == w + 1))):
                for p in range(nbytes):
                    with m.If(own[p] == (word == w)):
                        m.d.sync += stored.word_select(p, 8).eq(turned.word_select(p, 8))
        with m.If(take_turned):
            m.d.sync += [
                raw_error.eq(turned_error | (raw_error & ~raw_fresh)), raw_fresh.eq(turned_last), mode.eq(turned_mode),
            ]
        with m.If(take_turned & turned_last):
            m.d.sync += raw_full.eq(1)
        with m.Elif(take_raw):
            m.d.sync += raw_full.eq(0)

        # Stage 3: the row, or two joined.
        m.submodules.catch = spare = SpareBuffer(lane_row(c))
        wiring.connect(m, spare.o, wiring.flipped(self.o))
        held = Signal()                                      # the row waits for its LSBs
        row = payload_register(m, spare.i.payload, "row")
        at = join_offset(c)
        m.d.comb += take_raw.eq(raw_full & spare.i.ready)
        with m.If(spare.i.ready):
            m.d.sync += spare.i.valid.eq(raw_full & ~mode.hold)
        with m.If(take_raw):
            m.d.sync += held.eq(mode.hold)
            with m.If(mode.join):
                m.d.sync += [
                    row.raw[at:].eq(raw[:len(row.raw) - at]), row.error.eq(raw_error | row.error),
                    row.mode.join.eq(1), row.mode.hold.eq(0),
                ]
            with m.Else():
                m.d.sync += [row.raw.eq(raw[:len(row.raw)]), row.error.eq(raw_error), row.mode.eq(mode)]
        m.d.comb += self.idle.eq(~(turned_valid | raw_full | held | self.o.valid | ~raw_fresh))
        return m
