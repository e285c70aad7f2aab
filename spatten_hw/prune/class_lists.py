"""The surviving tokens by class: for every class, token id mod S, the ascending indexes of its survivors."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.widths import narrow
from ..stream.layouts import slice_counts
from .rows import DIGIT_BITS, class_limits, class_row, counts_below, digit_row, limit_bits

#: Readers besides the pruner's own: the walk over K rows, and the gang's over V rows.
READERS = 2


class ClassLists(wiring.Component):
    """S lists of token indexes (id div S), one per class, and how many there are. They are the set of survivors.

    * `rows[i]` → `indexes[i]` one cycle later, `READERS` readers with copies of the memories of their own. Entries
      past the end of a list are don't-care.
    * The pruner's reader has an address per class, `own_rows`, and one cycle later `own_indexes`, `own_live` (the row
      lies in the list opened) and `own_digits`. With `own_candidates` it reads candidates instead.
    * Candidates are a second list per class, of the tokens that a search still considers, each with a digit of its
      key. They lie in the pruner's copy of the memories.
    * `open` begins a pass: what is read ends at the survivors' (`open_candidates`: the candidates put last) number, and
      putting starts at the lists' beginning. `put` appends `put_indexes` (`put_digits`), one per class and cycle, to
      the candidates, or with `renew` to the survivors, which may be read before: writing never overtakes reading in a
      pass that drops some. `commit` makes what was put the survivors, `total` of them. No `put` in the cycle of
      `commit`; one in the cycle of `open` belongs to the pass before.
    * `look` opens the survivors for reading and leaves alone what was put.
    * `restart`: tokens 0 … tokens − 1 survive; sets a flag and writes nothing (index = row). `forget`: none does.
      `tokens` is constant from two cycles before. `fits`: every survivor is below `tokens`; two cycles later.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "rows": In(unsigned(c.row_bits)).array(READERS), "indexes": Out(class_row(c)).array(READERS),
            "own_rows": In(class_row(c)), "own_candidates": In(1), "own_indexes": Out(class_row(c)),
            "own_live": Out(c.slices), "own_digits": Out(digit_row(c)),
            "look": In(1), "open": In(1), "open_candidates": In(1), "renew": In(1),
            "put": In(c.slices), "put_indexes": In(class_row(c)), "put_digits": In(digit_row(c)),
            "commit": In(1), "total": In(c.count_bits),
            "restart": In(1), "forget": In(1), "tokens": In(c.count_bits),
            "below": Out(class_limits(c)), "fits": Out(1), "identity": Out(1),
            "counts": Out(slice_counts(c)), "alive_tokens": Out(c.count_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        identity = self.identity
        below = counts_below(m, c, self.tokens, "all_counts")
        ends = Signal(class_limits(c))
        limits = Signal(class_limits(c), reset_less=True)
        fills = Signal(class_limits(c), reset_less=True)
        m.d.comb += self.below.eq(below)
        m.d.sync += self.fits.eq(Cat(ends[b] <= below[b] for b in range(c.slices)).all())

        entry = data.StructLayout({"index": unsigned(c.row_bits), "digit": unsigned(DIGIT_BITS)})
        candidates_1 = Signal(reset_less=True)
        rows_1 = [Signal(c.row_bits, name=f"row_1_{i}", reset_less=True) for i in range(READERS)]
        m.d.sync += [row.eq(self.rows[i]) for i, row in enumerate(rows_1)]
        m.d.sync += candidates_1.eq(self.own_candidates)
        for b in range(c.slices):
            index = self.put_indexes[b]
            for i, row in enumerate(rows_1):
                copy = memory.Memory(shape=unsigned(c.row_bits), depth=c.max_rows, init=[])
                m.submodules[f"list_{i}_{b}"] = copy
                wr, rd = copy.write_port(), copy.read_port(transparent_for=())
                m.d.comb += [
                    wr.en.eq(self.put[b] & self.renew), wr.addr.eq(fills[b][:len(wr.addr)]), wr.data.eq(index),
                    rd.addr.eq(self.rows[i][:len(rd.addr)]), self.indexes[i][b].eq(Mux(identity, row, rd.data)),
                ]
            own = memory.Memory(shape=entry, depth=2 * c.max_rows, init=[])
            m.submodules[f"own_{b}"] = own
            wr, rd = own.write_port(), own.read_port(transparent_for=())
            low = len(rd.addr) - 1
            row_1 = Signal(c.row_bits, name=f"own_row_1_{b}", reset_less=True)
            m.d.sync += [row_1.eq(self.own_rows[b]), self.own_live[b].eq(self.own_rows[b] < limits[b])]
            m.d.comb += [
                wr.en.eq(self.put[b]), wr.addr.eq(Cat(fills[b][:low], ~self.renew)),
                wr.data.index.eq(index), wr.data.digit.eq(self.put_digits[b]),
                rd.addr.eq(Cat(self.own_rows[b][:low], self.own_candidates)),
                self.own_indexes[b].eq(Mux(identity & ~candidates_1, row_1, rd.data.index)),
                self.own_digits[b].eq(rd.data.digit),
            ]
            with m.If(self.put[b]):
                m.d.sync += fills[b].eq(fills[b] + 1)
                with m.If(self.renew):
                    m.d.sync += ends[b].eq(narrow(index + 1, limit_bits(c)))
            contract(m, fills[b] < c.max_rows, "a list is no longer than its memory", when=self.put[b])
            contract(m, ~self.renew | (index >= ends[b]), "indexes of a list ascend", when=self.put[b])

        with m.If(self.look):
            m.d.sync += limits.eq(self.counts)
        with m.If(self.open):
            m.d.sync += [limits.eq(Mux(self.open_candidates, fills.as_value(), self.counts.as_value())),
                         fills.eq(0)]
            with m.If(self.renew):
                m.d.sync += ends.eq(0)
        with m.If(self.commit):
            m.d.sync += [self.counts.eq(fills), self.alive_tokens.eq(self.total), identity.eq(0)]
        with m.If(self.restart):
            m.d.sync += [self.counts.eq(below), ends.eq(below), self.alive_tokens.eq(self.tokens), identity.eq(1)]
        with m.If(self.forget):
            m.d.sync += [self.counts.eq(0), self.alive_tokens.eq(0)]
        contract(m, self.put == 0, "nothing is put as survivors begin or end",
                 when=(self.open & self.renew) | self.commit)
        contract(m, self.tokens <= c.max_tokens, "no more tokens than there can be", when=self.restart)
        return m
