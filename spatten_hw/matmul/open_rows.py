"""V rows of every gang on their way through a slice, and which gangs are finished."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract


class OpenRows(wiring.Component):
    """Counts the rows of each gang, named by its first sum.

    opens, opens_sum: a row more is on its way. closes, closes_sum: products of one are stored. last, last_sum: nothing
    more begins after this cycle. clear, clear_sum: the gang's outputs are read. Each is a pulse.
    finished: bit of each gang that had its `last` and has no open rows, until `clear`; from registers, the cycle after.
    any: a row is open.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            **{name: In(1) for name in ("opens", "closes", "last", "clear")},
            **{f"{name}_sum": In(c.sum_bits) for name in ("opens", "closes", "last", "clear")},
            "finished": Out(c.sums), "any": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        # Both planes of every row.
        most = 2 * c.max_rows
        open_any = Signal(c.sums)
        for n in range(c.sums):
            count = Signal(range(most + 1), name=f"count{n}")
            last = Signal(name=f"last{n}")
            more = Signal(name=f"more{n}")
            less = Signal(name=f"less{n}")
            m.d.comb += [
                more.eq(self.opens & (self.opens_sum == n)), less.eq(self.closes & (self.closes_sum == n)),
                open_any[n].eq(count != 0), self.finished[n].eq(last & ~open_any[n]),
            ]
            with m.If(more & ~less):
                m.d.sync += count.eq(count + 1)
            with m.Elif(less & ~more):
                m.d.sync += count.eq(count - 1)
            with m.If(self.last & (self.last_sum == n)):
                m.d.sync += last.eq(1)
                contract(m, ~last, "a gang ends once")
            with m.Elif(self.clear & (self.clear_sum == n)):
                m.d.sync += last.eq(0)
                contract(m, self.finished[n], "a gang is read when it is finished")
            contract(m, more | (count != 0), "a row that ends has begun", when=less)
            contract(m, count != most, "no more rows than a gang has", when=more & ~less)
        m.d.comb += self.any.eq(open_any.any())
        return m
