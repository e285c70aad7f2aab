"""Cascade pruning proper: totals become keys, the shared top-k engine keeps the best (paper Figure 8, 6–8)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..stream.skid import SkidBuffer
from ..topk.quickselect import QuickSelect
from .rows import head_total, member_bits, member_row, total_row
from .widths import Narrow, Widen


class SurvivorSelector(wiring.Component):
    """One vector at a time: the `keep` members of largest total, ascending, ties to the lowest number.

    `heads` (constant during a vector) selects the input: `head_totals` or `token_totals`. A token is
    protected, and goes before every token that is not, if its id is below `protect_first` or among the last
    `protect_last` of `tokens`. 1 ≤ `keep` ≤ members. Rate: L tokens (or one head) per cycle into the engine,
    L members per cycle out of it. `members` must be taken at once.
    """

    token_totals: stream.Interface
    head_totals: stream.Interface
    members: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.key_bits = max(c.token_score_bits + 1, c.head_score_bits)
        super().__init__({
            "heads": In(1), "keep": In(max(c.count_bits, c.max_heads.bit_length())),
            "tokens": In(c.count_bits), "protect_first": In(c.count_bits), "protect_last": In(c.count_bits),
            "token_totals": In(stream.Signature(total_row(c))),
            "head_totals": In(stream.Signature(head_total(c))),
            "members": Out(stream.Signature(member_row(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        number, width = member_bits(c), member_bits(c) + self.key_bits
        # `config.topk` chooses the engine of local value pruning only: selections here are rare and their keys wide.
        m.submodules.engine = engine = QuickSelect(
            key_bits=self.key_bits, payload_bits=number, tag_bits=1, lanes=c.topk_lanes,
            max_n=max(c.max_tokens, c.max_heads), waiting=1)
        m.submodules.widen_tokens = by_token = Widen(c.lanes, c.topk_lanes, width)
        m.submodules.widen_heads = by_head = Widen(1, c.topk_lanes, width)
        m.submodules.narrow = narrow = Narrow(c.topk_lanes, c.lanes, number)

        # Constant during a vector. Registers keep the subtraction off the comparators' path, and the selection off the
        # paths of the engine and of the totals' producers. No row arrives in the cycle in which `heads` changes.
        tail = Signal(c.count_bits)
        keep = Signal.like(self.keep)
        heads = Signal()
        m.d.sync += [keep.eq(self.keep), heads.eq(self.heads)]
        m.d.sync += tail.eq(Mux(self.protect_last >= self.tokens, 0, self.tokens - self.protect_last))
        t, h = self.token_totals, self.head_totals
        m.d.comb += [
            by_token.i.valid.eq(t.valid), t.ready.eq(by_token.i.ready),
            by_token.i.p.count.eq(t.p.count), by_token.i.p.last.eq(t.p.last),
            by_head.i.valid.eq(h.valid), h.ready.eq(by_head.i.ready),
            by_head.i.p.count.eq(1), by_head.i.p.last.eq(h.p.last),
            by_head.i.p.elements[0].eq(_element(h.p.head, number, h.p.total)),
        ]
        for lane in range(c.lanes):
            protected = Signal(name=f"protected_{lane}")
            total = Cat(t.p.totals[lane], Signal(self.key_bits - 1 - c.token_score_bits, name=f"pad_{lane}"))
            m.d.comb += [
                protected.eq((t.p.ids[lane] < self.protect_first) | (t.p.ids[lane] >= tail)),
                by_token.i.p.elements[lane].eq(_element(t.p.ids[lane], number, Cat(total, protected))),
            ]

        # Cuts the path of `ready`: back-pressure of the engine stalls the producers of the totals.
        m.submodules.rows_skid = skid = SkidBuffer(engine.i.p.shape())
        wiring.connect(m, skid.o, engine.i)
        # Only the selected input has rows.
        m.d.comb += [by_head.o.ready.eq(skid.i.ready), by_token.o.ready.eq(skid.i.ready)]
        with m.If(heads):
            m.d.comb += _feed(skid.i, by_head.o, number)
        with m.Else():
            m.d.comb += _feed(skid.i, by_token.o, number)
        m.d.comb += [
            skid.i.p.k.eq(keep), skid.i.p.tag.eq(0),
            narrow.i.valid.eq(engine.o.valid), engine.o.ready.eq(narrow.i.ready),
            narrow.i.p.elements.eq(engine.o.p.payloads), narrow.i.p.count.eq(engine.o.p.count),
            narrow.i.p.last.eq(engine.o.p.last),
            self.members.valid.eq(narrow.o.valid), narrow.o.ready.eq(self.members.ready),
            self.members.p.ids.eq(narrow.o.p.elements), self.members.p.count.eq(narrow.o.p.count),
            self.members.p.last.eq(narrow.o.p.last), self.members.p.heads.eq(heads),
        ]
        contract(m, ~by_head.o.valid | heads, "totals of heads come only while heads are chosen")
        contract(m, ~by_token.o.valid | ~heads, "totals of tokens come only while tokens are chosen")
        contract(m, keep != 0, "one is kept at least", when=skid.i.valid)
        always_taken(m, self.members, "members")
        return m


def _element(member, number: int, key):
    """Member number below, key above it."""
    return Cat(member, Signal(number - len(member), name="member_pad"), key)


def _feed(engine_i, source, number: int) -> list:
    p = source.p
    lanes = range(len(p.elements))
    return [
        engine_i.valid.eq(source.valid),
        engine_i.p.count.eq(p.count), engine_i.p.last.eq(p.last),
        *[engine_i.p.payloads[i].eq(p.elements[i][:number]) for i in lanes],
        *[engine_i.p.keys[i].eq(p.elements[i][number:]) for i in lanes],
    ]
