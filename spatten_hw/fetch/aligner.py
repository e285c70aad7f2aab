"""Aligner: beats from memory to words of rows that begin at bit 0."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract, contracts_on
from .read_port import row_beat


def row_mode() -> data.StructLayout:
    """How a row's elements become operands; travels with the request.

    MSB plane: elements of `width` bits, sign-extended; `shift`: they are the upper bits of operands with an
    LSB plane (value · 2^4); `mid`: half an MSB step is added (bit 3 set). `lsb`: LSB plane, 4 unsigned bits.
    `hold`: the row is incomplete, the next request completes it; `join`: this is that request, with the LSBs.
    """
    return data.StructLayout({"width": unsigned(5), "shift": 1, "mid": 1, "lsb": 1, "hold": 1, "join": 1})


def row_tag() -> data.StructLayout:
    """What travels with a row's beats: `mode`, and `own`: the row's last beat begins a word, instead of only completing
    the word before."""
    return data.StructLayout({"mode": row_mode(), "own": 1})


def tagged(c: SpAttenConfig, mode: Value, addr: Value, row_bytes: Value) -> Value:
    """`mode` as the `row_tag` of a row of `row_bytes` bytes at `addr`."""
    offset = addr[:clog2(c.beat_bytes)]
    end = (offset + row_bytes - 1)[:len(offset)]
    return Cat(mode, end >= offset)


def row_word(c: SpAttenConfig) -> data.StructLayout:
    """A word, as wide as a beat, of a plane's row: its word n holds bits n·B … of the row, for any address of the row.

    `last`: of the row, and with it `error`: a beat of the row had an AXI error. Bits beyond the row are don't-care.
    """
    return data.StructLayout({"data": unsigned(c.axi_data_bits), "last": 1, "error": 1, "mode": row_mode()})


def max_row_bytes(c: SpAttenConfig) -> int:
    """Bytes of the longest plane row: max_dim elements as wide as an operand."""
    return c.max_dim * c.operand_bits // 8


class Aligner(wiring.Component):
    """Beats of rows `i` (`row_beat`, user = `row_tag`) → the rows' words `o` (`row_word`), in order.

    Each beat is rotated to byte 0 of the row: its first bytes begin a word, its last `offset` bytes complete the word
    before. So a word leaves when the next beat comes, or after its row's last beat; a last beat that only completes a
    word begins none. One beat and one word per cycle: alignment costs no cycle. Latency `LATENCY`: 1 cycle from a beat
    that completes a word, 2 from the last beat to a word that it begins. `idle`: no beat inside.
    """

    LATENCY = (1, 2)

    i: stream.Interface
    o: stream.Interface
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(row_beat(c, row_tag().size))), "o": Out(stream.Signature(row_word(c))),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        nbytes = c.beat_bytes
        beat = self.i.payload
        tag = row_tag()(beat.user)

        # The rotated beat.
        turned_valid = Signal()
        turned = Signal(c.axi_data_bits, reset_less=True)
        completing = Signal(nbytes, reset_less=True)         # its bytes that complete the word before
        turned_first = Signal(reset_less=True)
        turned_last = Signal(reset_less=True)
        turned_error = Signal(reset_less=True)
        turned_tag = Signal(row_tag(), reset_less=True)
        take = Signal()                                      # it moves on
        # Rotation is one shift of the doubled beat: a simulator computes it only for a beat, but stages of multiplexers
        # in every cycle; a synthesiser shares its two halves.
        rotated = (Cat(beat.data, beat.data) >> Cat(Const(0, 3), beat.offset))[:c.axi_data_bits]
        m.d.comb += self.i.ready.eq(~turned_valid | take)
        with m.If(self.i.ready):
            # `valid` is not in the clock enable, which is wide. A first beat, or no beat, completes no word.
            m.d.sync += [
                turned_valid.eq(self.i.valid), turned.eq(rotated), turned_first.eq(beat.first),
                turned_last.eq(beat.last), turned_error.eq(beat.error), turned_tag.eq(tag),
                completing.eq(Mux(self.i.valid & ~beat.first, ~(Const((1 << nbytes) - 1, nbytes) >> beat.offset), 0)),
            ]

        # The word that waits for the rest of its bytes, or to leave.
        begun = Signal()
        word = Signal(c.axi_data_bits, reset_less=True)
        whole = Signal(reset_less=True)                      # its row has no more beats
        error = Signal(reset_less=True)
        mode = Signal(row_mode(), reset_less=True)
        ends = Signal()                                      # the rotated beat completes the row's last word
        out = self.o.payload
        m.d.comb += [
            self.o.valid.eq(begun & (whole | turned_valid)), take.eq(~begun | (self.o.valid & self.o.ready)),
            ends.eq(turned_valid & ~turned_first & turned_last & ~turned_tag.own),
            out.data.eq(Cat(Mux(by_turned, turned.word_select(p, 8), word.word_select(p, 8))
                            for p, by_turned in enumerate(completing))),
            out.last.eq(whole | ends), out.error.eq(error | (ends & turned_error)), out.mode.eq(mode),
            self.idle.eq(~(turned_valid | begun)),
        ]
        with m.If(take):
            m.d.sync += [
                begun.eq(turned_valid & ~ends), word.eq(turned), whole.eq(turned_last),
                error.eq(turned_error | (error & ~turned_first)), mode.eq(turned_tag.mode),
            ]
        if contracts_on():
            inside = Signal()
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += inside.eq(~beat.last)
            contract(m, beat.first == ~inside, "a row's first beat is marked, and only that", when=self.i.valid)
        return m
