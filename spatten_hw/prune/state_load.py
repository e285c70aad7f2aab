"""Reads saved survivor bitmaps or saved importance from memory and checks them (docs/architecture.md, "Memory")."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.widths import narrow, saturate_unsigned, wrap
from ..stream.read_layouts import aux_command, aux_word
from .bitmap_rows import WORD_BITS, cut_rows
from .rows import class_bits, class_limits, id_parts


@dataclass
class _Place:
    """Place of a word. `tokens_left`, `heads_left`: words left in each section; `in_tokens`: it is a token's;
    `index`: its number in the section; `section_last`: it is its section's last."""

    tokens_left: Signal
    heads_left: Signal
    in_tokens: Signal
    index: Signal
    section_last: Signal


class StateLoad(wiring.Component):
    """`start` with `ids` = 1 reads the bitmaps at `addr`, else the importance; `done` pulses at the end.

    Importance: one word per cycle, saturated to the memories' widths, to the write ports of the totals, a cycle later.
    Bitmaps: a word is cut into rows of S bits, one per cycle: `put`, a bit per class, for the class lists, beside
    `put_index`, the row. Words of heads go to `load_heads`, all at once, and count in rows as well. Several commands
    request sections longer than `max_tokens` words.

    `error` (valid with `done`): an AXI error, or illegal bitmaps: counts in the header not 1 … `tokens` / 1 …
    `heads`, or not those of the bits; a bit at or past `tokens` (`below`: their number by class) or `heads`
    (`head_range`: a bit for each).
    Header and bitmaps are requested at once. All requested words are taken. After a bad header nothing is put. After a
    bad word some has been put, so the parent block must discard it. `total_tokens`, `total_heads`: the header's counts.
    """

    state_cmd: stream.Interface
    state_words: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        heads = c.max_heads.bit_length()
        super().__init__({
            "start": In(1), "ids": In(1), "addr": In(c.addr_bits),
            "tokens": In(c.count_bits), "heads": In(heads), "below": In(class_limits(c)), "head_range": In(c.max_heads),
            "done": Out(1), "error": Out(1),
            "total_tokens": Out(c.count_bits), "total_heads": Out(heads),
            "state_cmd": Out(stream.Signature(aux_command(c))),
            "state_words": In(stream.Signature(aux_word())),
            "put": Out(c.slices), "put_index": Out(c.row_bits),
            "load_heads": Out(1), "head_word": Out(range(max(2, -(-c.max_heads // WORD_BITS)))),
            "head_bits": Out(WORD_BITS),
            "write_token": Out(1), "token_class": Out(c.slices), "token_index": Out(c.row_bits),
            "token_total": Out(c.token_score_bits),
            "write_head": Out(1), "head": Out(c.head_bits), "head_total": Out(c.head_score_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        counter = max(c.count_bits, c.max_heads.bit_length())
        p = _Place(*(Signal(shape, name=name) for name, shape in (
            ("tokens_left", c.count_bits), ("heads_left", c.max_heads.bit_length()), ("in_tokens", 1),
            ("index", counter), ("section_last", 1))))
        m.d.comb += p.section_last.eq(Mux(p.in_tokens, p.tokens_left == 1, p.heads_left == 1))
        ask_left, ask_addr = self._commands(m)
        word = self.state_words.p
        take = Signal()
        taken_heads = Signal()
        m.d.comb += take.eq(self.state_words.valid & self.state_words.ready)
        write_index = self._importance(m)
        rows = cut_rows(m, self, taken_heads)
        # Registered before they are used: the word arrives over a long path.
        wrong = Signal(2)
        words = [narrow((n + WORD_BITS - 1) >> clog2(WORD_BITS), len(left))
                 for n, left in ((self.tokens, p.tokens_left), (self.heads, p.heads_left))]
        m.d.sync += wrong.eq(Cat(_no_count(word.data[:32], self.tokens), _no_count(word.data[32:], self.heads)))
        with m.If(take & word.error):
            m.d.sync += self.error.eq(1)
        with m.FSM(name="load") as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [
                        ask_addr.eq(self.addr), self.error.eq(0), p.in_tokens.eq(1), p.index.eq(0),
                        ask_left.eq(Mux(self.ids, 1 + words[0] + words[1], self.tokens + self.heads)),
                        p.tokens_left.eq(Mux(self.ids, words[0], self.tokens)),
                        p.heads_left.eq(Mux(self.ids, words[1], self.heads)), taken_heads.eq(0),
                    ]
                    m.next = "TOTALS"
                    with m.If(self.ids):
                        m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += self.state_words.ready.eq(1)
                with m.If(take):
                    m.d.sync += [self.total_tokens.eq(word.data[:len(self.total_tokens)]),
                                 self.total_heads.eq(word.data[32:32 + len(self.total_heads)])]
                    m.next = "COUNTED"
            with m.State("COUNTED"):
                m.d.comb += rows.clear.eq(1)
                m.next = "WORD"
                with m.If(wrong.any() | self.error):
                    m.d.sync += self.error.eq(1)
                    m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.state_words.ready.eq(1)
                with m.If(take):
                    self._next_word(m, p)
                    with m.If(~p.in_tokens & p.section_last):
                        m.next = "DONE"
            with m.State("WORD"):
                m.d.comb += [self.state_words.ready.eq(1), rows.load.eq(take)]
                with m.If(take):
                    self._next_word(m, p)
                    m.d.sync += taken_heads.eq(~p.in_tokens)
                    m.next = "ROWS"
            with m.State("ROWS"):
                with m.If(rows.last):
                    m.next = "WORD"
                    with m.If(taken_heads & (p.heads_left == 0)):
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(rows.idle):
                    m.d.sync += self.error.eq(self.error | rows.past | (rows.tokens != self.total_tokens)
                                              | (rows.heads != self.total_heads))
                    m.next = "DONE"
            with m.State("TOTALS"):
                m.d.comb += self.state_words.ready.eq(1)
                m.d.sync += [self.write_token.eq(take & p.in_tokens), self.write_head.eq(take & ~p.in_tokens),
                             write_index.eq(p.index)]
                with m.If(take):
                    self._next_word(m, p)
                    with m.If(~p.in_tokens & p.section_last):
                        m.next = "LAST"
            with m.State("LAST"):
                # The registered write lands in this cycle.
                m.d.sync += [self.write_token.eq(0), self.write_head.eq(0)]
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        m.d.comb += [self.load_heads.eq(rows.load & ~p.in_tokens), self.head_bits.eq(word.data),
                     self.head_word.eq(p.index[:len(self.head_word)])]
        contract(m, fsm.ongoing("IDLE"), "a load starts when the one before is done", when=self.start)
        return m

    def _next_word(self, m: Module, p: _Place) -> None:
        m.d.sync += p.index.eq(Mux(p.section_last, 0, p.index + 1))
        with m.If(p.in_tokens):
            m.d.sync += [p.tokens_left.eq(p.tokens_left - 1), p.in_tokens.eq(~p.section_last)]
        with m.Else():
            m.d.sync += p.heads_left.eq(p.heads_left - 1)

    def _commands(self, m: Module) -> tuple[Signal, Signal]:
        """Requests words ahead of their arrival. Returns how many are still to be requested, and their address."""
        c = self.config
        ask_left = Signal(range(c.max_tokens + c.max_heads + 1))
        chunk = Signal.like(ask_left)
        ask_addr = Signal(c.addr_bits)
        cmd = self.state_cmd
        m.d.comb += [
            chunk.eq(Mux(ask_left > c.max_tokens, c.max_tokens, ask_left)),
            cmd.valid.eq(ask_left != 0), cmd.p.addr.eq(ask_addr), cmd.p.words.eq(narrow(chunk, len(cmd.p.words))),
        ]
        with m.If(cmd.valid & cmd.ready):
            m.d.sync += [ask_left.eq(ask_left - chunk), ask_addr.eq(wrap(ask_addr + (chunk << 3), c.addr_bits))]
        contract(m, (chunk != 0) & (chunk <= c.max_tokens), "a command asks for 1 to max_tokens words", when=cmd.valid)
        return ask_left, ask_addr

    def _importance(self, m: Module) -> Signal:
        """Totals, clamped to the memories' widths, one register before the write ports. Returns the register of the
        index that they are written to."""
        c = self.config
        word = self.state_words.p
        write_index = Signal(max(c.count_bits, c.max_heads.bit_length()), reset_less=True)
        part, index = id_parts(c, write_index)
        m.d.comb += [
            self.token_total.eq(_clamped(m, word.data, c.token_score_bits, "token_total")),
            self.head_total.eq(_clamped(m, word.data, c.head_score_bits, "head_total")),
            self.token_index.eq(index),
            self.token_class.eq(wrap(Const(1, c.slices) << part, c.slices) if class_bits(c) else 1),
            self.head.eq(write_index[:c.head_bits]),
        ]
        contract(m, self.token_index < c.max_rows, "totals lie in the memory", when=self.write_token)
        contract(m, self.head < c.max_heads, "heads are in range", when=self.write_head)
        return write_index


def _no_count(field: Value, most: Value) -> Value:
    """Whether `field` is outside 1 … `most`."""
    low = field[:len(most)]
    return ~field.any() | field[len(most):].any() | (low > most)


def _clamped(m: Module, word: Value, width: int, name: str) -> Value:
    """`word`, one cycle later, all ones if it does not fit `width` bits. The overflow test reads many bits, so its
    result is registered beside the low bits."""
    low = Signal(width, name=f"{name}_low", reset_less=True)
    over = Signal(name=f"{name}_over", reset_less=True)
    m.d.sync += [low.eq(word[:width]), over.eq(word[width:].any())]
    return saturate_unsigned(Cat(low, over), width)
