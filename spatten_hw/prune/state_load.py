"""Reads a saved survivor list or saved importance from memory and checks it (docs/architecture.md, "Memory")."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.widths import narrow, saturate_unsigned, wrap
from ..stream.layouts import aux_command, aux_word
from .rows import member_bits, member_row, row_bits


@dataclass
class _Place:
    """Place of a word. `ids`: in a survivor list, not in importance; `index`: in its section, tokens (`in_tokens`; the
    first word is a token's, as no section is empty) or heads; `body`: a word of a section is taken; `previous`: member
    before it; `tokens_left`, `heads_left`: words left in each section; `section_last`: it is its section's last."""

    ids: Signal
    index: Signal
    in_tokens: Signal
    body: Signal
    previous: Signal
    tokens_left: Signal
    heads_left: Signal
    section_last: Signal


class StateLoad(wiring.Component):
    """`start` with `ids` = 1 reads the survivor list at `addr`, else the importance; `done` pulses two cycles after the
    last word is taken, or after a bad header.

    One word per cycle, one cycle more after a list's header. Several commands request sections longer than `max_tokens`
    words. A list goes to `members` (rows of L tokens, then heads one by one; must be taken at once),
    importance to the write ports of the score memories, saturated to their width. `error` (valid with `done`): an AXI
    error, or an illegal list: counts not 1 … `tokens` / 1 … `heads`, numbers not strictly ascending or out of range.
    All requested words are always taken. After a bad header no more words are requested and no members leave. After a
    bad word some members may have left, so the parent block must discard the list (`forget`).

    | cycle | what | method |
    |---|---|---|
    | 0 | a word is taken; its place in its section | `_words` |
    | 1 | what is wrong with it | `_header_errors`, `_word_errors` |
    | 1 | importance clamped, with its address; a member in its row | `_importance`, `_words` |
    | 2 | `error`; a header's counts lead to commands | `_commands` |
    """

    state_cmd: stream.Interface
    state_words: stream.Interface
    members: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "ids": In(1), "addr": In(c.addr_bits),
            "tokens": In(c.count_bits), "heads": In(c.max_heads.bit_length()),
            "done": Out(1), "error": Out(1),
            "state_cmd": Out(stream.Signature(aux_command(c))),
            "state_words": In(stream.Signature(aux_word())),
            "members": Out(stream.Signature(member_row(c))),
            "write_token": Out(1), "write_row": Out(row_bits(c)), "write_lanes": Out(c.lanes),
            "token_total": Out(c.token_score_bits),
            "write_head": Out(1), "head": Out(c.head_bits), "head_total": Out(c.head_score_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        p = _Place(*(Signal(shape, name=name) for name, shape in (
            ("ids", 1), ("index", max(c.count_bits, c.max_heads.bit_length())), ("in_tokens", 1), ("body", 1),
            ("previous", member_bits(c)), ("tokens_left", c.count_bits), ("heads_left", c.max_heads.bit_length()),
            ("section_last", 1))))
        m.d.comb += p.section_last.eq(Mux(p.in_tokens, p.tokens_left == 1, p.heads_left == 1))
        ask_left, ask_addr = self._commands(m)
        wrong = self._header_errors(m)
        self._word_errors(m, p)
        write_index = self._importance(m)
        self._words(m, p, ask_left, ask_addr, wrong, write_index)
        always_taken(m, self.members, "members")
        return m

    def _commands(self, m: Module) -> tuple[Signal, Signal]:
        """Requests words ahead of their arrival. Returns how many are still to be requested, and their address."""
        c = self.config
        ask_left = Signal(range(c.max_tokens + c.max_heads + 1))
        chunk = Signal.like(ask_left)
        ask_addr = Signal(c.addr_bits)
        cmd = self.state_cmd
        m.d.comb += [
            chunk.eq(Mux(ask_left > c.max_tokens, c.max_tokens, ask_left)),
            cmd.valid.eq(ask_left != 0), cmd.p.addr.eq(ask_addr), cmd.p.words.eq(chunk),
        ]
        with m.If(cmd.valid & cmd.ready):
            m.d.sync += [ask_left.eq(ask_left - chunk), ask_addr.eq(wrap(ask_addr + (chunk << 3), c.addr_bits))]
        contract(m, (chunk != 0) & (chunk <= c.max_tokens), "a command asks for 1 to max_tokens words", when=cmd.valid)
        return ask_left, ask_addr

    def _header_errors(self, m: Module) -> Signal:
        """Errors of a header, registered one cycle before they are used: the word arrives over a long path, and the
        number of words to request ends a long carry chain."""
        word = self.state_words.p
        wrong = Signal(3)
        m.d.sync += wrong.eq(Cat(
            _no_count(word.data[:32], self.tokens), _no_count(word.data[32:], self.heads), word.error))
        return wrong

    def _word_errors(self, m: Module, p: _Place) -> None:
        """Errors of a word of the body, in two cycles."""
        word = self.state_words.p
        member = word.data[:len(p.previous)]
        bad = Signal(4)
        m.d.sync += bad.eq(Mux(p.body, Cat(
            word.error, p.ids & word.data[len(p.previous):].any(),
            p.ids & (member >= Mux(p.in_tokens, self.tokens, self.heads)),
            p.ids & (p.index != 0) & (member <= p.previous)), 0))
        with m.If(bad.any()):
            m.d.sync += self.error.eq(1)

    def _importance(self, m: Module) -> Signal:
        """Totals, clamped to the memories' widths, one register before the write ports. Returns the index that they are
        written to."""
        c = self.config
        word, lane_bits = self.state_words.p, clog2(c.lanes)
        write_index = Signal(max(c.count_bits, c.max_heads.bit_length()))
        m.d.sync += [self.write_token.eq(0), self.write_head.eq(0)]
        m.d.comb += [
            self.token_total.eq(_clamped(m, word.data, c.token_score_bits, "token_total")),
            self.head_total.eq(_clamped(m, word.data, c.head_score_bits, "head_total")),
            self.write_row.eq(narrow(write_index[lane_bits:], row_bits(c))),
            self.write_lanes.eq(wrap(Const(1, c.lanes) << write_index[:lane_bits], c.lanes) if lane_bits else 1),
            self.head.eq(write_index[:c.head_bits]),
        ]
        contract(m, self.write_row < c.max_rows, "totals lie in the memory", when=self.write_token)
        contract(m, self.head < c.max_heads, "heads are in range", when=self.write_head)
        return write_index

    def _words(self, m: Module, p: _Place, ask_left: Signal, ask_addr: Signal, wrong: Signal,
               write_index: Signal) -> None:
        """Takes header and sections; tokens of a list collect into rows of L, its heads leave one by one."""
        c = self.config
        word = self.state_words.p
        member = word.data[:len(p.previous)]
        lane = Signal(max(1, clog2(c.lanes)))
        row = Signal(member_row(c))
        row_valid = Signal()
        take = Signal()
        m.d.sync += row_valid.eq(0)
        m.d.comb += [
            self.members.valid.eq(row_valid), self.members.p.eq(row),
            take.eq(self.state_words.valid & self.state_words.ready),
        ]
        with m.FSM(name="load") as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [
                        p.ids.eq(self.ids), ask_addr.eq(self.addr), self.error.eq(0),
                        ask_left.eq(Mux(self.ids, 1, self.tokens + self.heads)),
                        p.tokens_left.eq(self.tokens), p.heads_left.eq(self.heads), p.in_tokens.eq(1), p.index.eq(0),
                        lane.eq(0),
                    ]
                    with m.If(self.ids):
                        m.next = "HEADER"
                    with m.Else():
                        m.next = "BODY"
            with m.State("HEADER"):
                m.d.comb += self.state_words.ready.eq(1)
                with m.If(take):
                    m.d.sync += [p.tokens_left.eq(word.data[:len(p.tokens_left)]),
                                 p.heads_left.eq(word.data[32:32 + len(p.heads_left)])]
                    m.next = "COUNTED"
            with m.State("COUNTED"):
                m.d.sync += self.error.eq(wrong.any())
                with m.If(wrong.any()):
                    m.next = "DONE"
                with m.Else():
                    m.d.sync += ask_left.eq(p.tokens_left + p.heads_left)
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += self.state_words.ready.eq(1)
                with m.If(take):
                    m.d.comb += p.body.eq(1)
                    m.d.sync += [
                        p.index.eq(Mux(p.section_last, 0, p.index + 1)), p.previous.eq(member),
                        write_index.eq(p.index), self.write_token.eq(p.in_tokens & ~p.ids),
                        self.write_head.eq(~p.in_tokens & ~p.ids), row.heads.eq(~p.in_tokens),
                        row.last.eq(p.section_last),
                    ]
                    with m.If(p.in_tokens):
                        full = (lane == c.lanes - 1) | p.section_last
                        m.d.sync += [
                            p.tokens_left.eq(p.tokens_left - 1), row.ids[lane].eq(member), row.count.eq(lane + 1),
                            lane.eq(Mux(full, 0, lane + 1)), row_valid.eq(p.ids & full),
                            p.in_tokens.eq(~p.section_last),
                        ]
                    with m.Else():
                        m.d.sync += [
                            p.heads_left.eq(p.heads_left - 1), row.ids[0].eq(member), row.count.eq(1),
                            row_valid.eq(p.ids),
                        ]
                        with m.If(p.section_last):
                            m.next = "LAST"
            with m.State("LAST"):
                # The registered writes land in this cycle, and the last word's errors are gathered.
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        contract(m, fsm.ongoing("IDLE"), "a load starts when the one before is done", when=self.start)


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
