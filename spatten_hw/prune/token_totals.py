"""Importance of the tokens, in S banks: one total of every bank is read, added to and written back every cycle."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..contract import contract
from ..primitives.widths import saturate_unsigned
from .rows import class_row

#: Cycles from an access to its `totals`, and until the memory holds what it wrote.
READ_CYCLES = 3
WRITE_CYCLES = 5


class TokenTotals(wiring.Component):
    """Bank b holds the totals of class b (token id mod S) at address index (id div S), `token_score_bits` unsigned,
    and, with `sums`, the sums of a layer in a prompt: of the positions in lane b, at address row.

    One access per cycle, `valid`: every bank reads at its own `indexes` (with `direct` all banks at `index`), `totals`
    follow `READ_CYCLES` cycles later and stay until those of the next access. Banks in `write` add `probs` (their own)
    and `word` (the same for all) and write the sum back, saturating; `fresh` takes the old value as 0.

    `after_indexes`, `after`: a cycle after `totals`, what the access makes of them, written or not.

    `forward`: this access may need what one up to three cycles before wrote, if that had the same `row`: rows of
    probabilities, which in both stages address the same entries whenever their row is the same. Others must not return
    to an entry within `WRITE_CYCLES`. `idle`: no access is inside.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.row_layout = data.ArrayLayout(unsigned(c.token_score_bits), c.slices)
        super().__init__({
            "valid": In(1), "sums": In(1), "indexes": In(class_row(c)), "direct": In(1), "index": In(c.row_bits),
            "write": In(c.slices), "fresh": In(1), "forward": In(1), "row": In(c.row_bits),
            "probs": In(data.ArrayLayout(unsigned(PROB_BITS), c.slices)), "word": In(c.token_score_bits),
            "accessed": Out(class_row(c)), "totals": Out(self.row_layout),
            "after_indexes": Out(class_row(c)), "after": Out(self.row_layout), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, width = self.config, self.config.token_score_bits
        # Ask (banks' addresses), Fetch (banks' outputs), Sum (registered, the entry before may be forwarded), Write,
        # and a cycle after it, since a read in the cycle of a write gets the old entry.
        ask, fetch, add, write = (Signal(name=f"{name}_valid") for name in ("ask", "fetch", "sum", "write"))
        fresh = [Signal(name=f"{name}_fresh", reset_less=True) for name in ("ask", "fetch")]
        forwards = [Signal(name=f"{name}_forward", reset_less=True) for name in ("ask", "fetch")]
        sums = [Signal(name=f"{name}_sums", reset_less=True) for name in ("ask", "fetch", "sum", "write")]
        rows = [Signal(c.row_bits, name=f"{name}_row", reset_less=True) for name in ("ask", "fetch", "sum", "write")]
        lanes = [Signal(c.slices, name=f"{name}_write", reset_less=True) for name in ("ask", "fetch", "sum", "write")]
        words = [Signal(width, name=f"{name}_word", reset_less=True) for name in ("ask", "fetch")]
        indexes = [Signal(class_row(c), name=f"{name}_indexes", reset_less=True)
                   for name in ("ask", "fetch", "sum", "write")]
        sum_hit = Signal()
        write_hit = Signal()
        past_hit = Signal()
        m.d.comb += [self.idle.eq(~(ask | fetch | add | write)), self.accessed.eq(indexes[2]),
                     self.after_indexes.eq(indexes[3])]
        m.d.sync += [
            ask.eq(self.valid), fetch.eq(ask), add.eq(fetch), write.eq(add),
            fresh[0].eq(self.fresh), fresh[1].eq(fresh[0]),
            sums[0].eq(self.sums), rows[0].eq(self.row), lanes[0].eq(self.write), words[0].eq(self.word),
            words[1].eq(words[0]),
            *[after.eq(before) for pipe in (sums, rows, lanes) for before, after in pairwise(pipe)],
            *[indexes[n + 1].eq(indexes[n]) for n in range(1, 3)], indexes[1].eq(indexes[0]),
            # Row numbers are compared a cycle early, so that registers select the source.
            forwards[0].eq(self.forward), forwards[1].eq(forwards[0]),
            sum_hit.eq(fetch & forwards[1] & add & (rows[2] == rows[1]) & ~fresh[1]),
            write_hit.eq(ask & forwards[0] & add & (rows[2] == rows[0])),
            past_hit.eq(ask & forwards[0] & write & (rows[3] == rows[0])),
        ]
        for b in range(c.slices):
            bank = memory.Memory(shape=unsigned(width), depth=2 * c.max_rows, init=[])
            m.submodules[f"bank_{b}"] = bank
            wr, rd = bank.write_port(), bank.read_port(transparent_for=())
            low = len(rd.addr) - 1
            addends = [Signal(PROB_BITS, name=f"{name}_prob_{b}", reset_less=True) for name in ("ask", "fetch")]
            addend = Signal(width, name=f"addend_{b}", reset_less=True)
            base = Signal(width, name=f"base_{b}", reset_less=True)
            total = Signal(width + 1, name=f"total_{b}")
            written = Signal(width, name=f"written_{b}", reset_less=True)
            past = Signal(width, name=f"past_{b}", reset_less=True)
            m.d.comb += [
                rd.addr.eq(Cat(indexes[0][b][:low], sums[0])), self.totals[b].eq(base), self.after[b].eq(written),
                total.eq(Mux(sum_hit, written, base) + addend),
                wr.en.eq(write & lanes[3][b]), wr.addr.eq(Cat(indexes[3][b][:low], sums[3])), wr.data.eq(written),
            ]
            m.d.sync += [
                indexes[0][b].eq(Mux(self.direct, self.index, self.indexes[b])),
                addends[0].eq(self.probs[b]), addends[1].eq(addends[0]), addend.eq(addends[1] | words[1]),
                written.eq(saturate_unsigned(total, width)), past.eq(written),
            ]
            with m.If(fetch):
                with m.If(fresh[1]):
                    m.d.sync += base.eq(0)
                with m.Elif(write_hit):
                    m.d.sync += base.eq(written)
                with m.Elif(past_hit):
                    m.d.sync += base.eq(past)
                with m.Else():
                    m.d.sync += base.eq(rd.data)
        contract(m, self.index < c.max_rows, "indexes are in range", when=self.valid & self.direct)
        return m
