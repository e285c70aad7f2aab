"""The survivors: the ascending list of surviving token ids and the bitmap of surviving K/V heads."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.widths import narrow
from .rows import ids_layout, member_row, row_bits

#: Readers of the list: K, V, Q and P×V side of the layer, then the pruner's own scan.
READERS = 5
SCAN = 4


class Survivors(wiring.Component):
    """Ping-pong list of alive token ids, read in rows of L, and the bitmap of alive heads.

    `rows[i]` → `ids[i]` one cycle later, five independent readers, each with its own copy of the memory;
    the scan reader holds its row while `scan_enable` is 0. Lanes past the end of the list are don't-care.

    `restart`: tokens 0 … tokens − 1 and heads 0 … heads − 1 are alive; this sets a flag (`identity`) and does
    not write the memory. `members`: rows of a new list, one per cycle, always accepted, written to the half that
    is not read; `last` makes it the survivor list (or head bitmap). `forget`: nothing is alive.
    `last_id`: largest alive id.
    """

    members: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "rows": In(row_bits(c)).array(READERS), "ids": Out(ids_layout(c)).array(READERS),
            "scan_enable": In(1),
            "restart": In(1), "tokens": In(c.count_bits), "heads": In(c.max_heads.bit_length()),
            "forget": In(1),
            "members": In(stream.Signature(member_row(c))),
            "alive_tokens": Out(c.count_bits), "last_id": Out(c.token_bits),
            "alive_heads": Out(c.max_heads.bit_length()), "heads_alive": Out(c.max_heads),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        index_bits = clog2(c.max_rows)
        half = Signal()
        identity = Signal()
        member = self.members.p
        take = Signal()
        token_row = Signal()
        head_row = Signal()
        new_row = Signal(row_bits(c))
        m.d.comb += [
            self.members.ready.eq(1), take.eq(self.members.valid),
            token_row.eq(take & ~member.heads), head_row.eq(take & member.heads),
        ]

        for i in range(READERS):
            copy = memory.Memory(shape=ids_layout(c), depth=2 * c.max_rows, init=[])
            m.submodules[f"list_{i}"] = copy
            wr = copy.write_port()
            rd = copy.read_port(transparent_for=())
            row_1 = Signal(row_bits(c), name=f"row_1_{i}", reset_less=True)
            enable = self.scan_enable if i == SCAN else Const(1)
            m.d.comb += [
                wr.en.eq(token_row), wr.addr.eq(Cat(new_row[:index_bits], ~half)),
                rd.en.eq(enable), rd.addr.eq(Cat(self.rows[i][:index_bits], half)),
            ]
            with m.If(enable):
                m.d.sync += row_1.eq(self.rows[i])
            for lane in range(c.lanes):
                position_id = Cat(Const(lane, clog2(c.lanes)), row_1[:index_bits])
                m.d.comb += [
                    wr.data[lane].eq(member.ids[lane][:c.token_bits]),
                    self.ids[i][lane].eq(Mux(identity, position_id, rd.data[lane])),
                ]

        # Lengths are counted as rows arrive, so that the producer need not know them.
        counted = Signal(max(c.count_bits, c.max_heads.bit_length()))
        total = Signal.like(counted)
        m.d.comb += total.eq(counted + member.count)
        with m.If(take):
            m.d.sync += counted.eq(Mux(member.last, 0, total))
        with m.If(token_row):
            m.d.sync += new_row.eq(Mux(member.last, 0, new_row + 1))
            with m.If(member.last):
                last_lane = (member.count - 1)[:max(1, clog2(c.lanes))]
                final = Array([member.ids[lane] for lane in range(c.lanes)])[last_lane]
                m.d.sync += [
                    half.eq(~half), identity.eq(0), self.alive_tokens.eq(narrow(total, c.count_bits)),
                    self.last_id.eq(final[:c.token_bits]),
                ]

        gathered = Signal(c.max_heads)
        gathered_next = Signal(c.max_heads)
        hits = [(lane < member.count).replicate(c.max_heads) & (1 << member.ids[lane][:c.head_bits])[:c.max_heads]
                for lane in range(c.lanes)]
        marked = gathered
        for hit in hits:
            marked = marked | hit
        m.d.comb += gathered_next.eq(marked)
        with m.If(head_row):
            m.d.sync += gathered.eq(Mux(member.last, 0, gathered_next))
            with m.If(member.last):
                m.d.sync += [self.heads_alive.eq(gathered_next),
                             self.alive_heads.eq(narrow(total, len(self.alive_heads)))]

        with m.If(self.restart):
            m.d.sync += [
                identity.eq(1), self.alive_tokens.eq(self.tokens),
                self.last_id.eq(narrow(self.tokens - 1, c.token_bits)),
                self.alive_heads.eq(self.heads),
                self.heads_alive.eq(Cat(h < self.heads for h in range(c.max_heads))),
            ]
        with m.If(self.forget):
            m.d.sync += [self.alive_tokens.eq(0), self.alive_heads.eq(0), self.heads_alive.eq(0)]
        contract(m, (member.count != 0) & (member.count <= c.lanes), "a row has a member", when=take)
        contract(m, total <= Mux(member.heads, c.max_heads, c.max_tokens), "no more are alive than there can be",
                 when=take)
        contract(m, new_row < c.max_rows, "the list is no longer than its memory", when=token_row)
        contract(m, (self.tokens != 0) & (self.tokens <= c.max_tokens) & (self.heads != 0)
                 & (self.heads <= c.max_heads), "all tokens and heads are as many as there can be", when=self.restart)
        contract(m, ~take, "no list arrives as another is begun or forgotten", when=self.restart | self.forget)
        return m
