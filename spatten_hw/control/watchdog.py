"""The limit of cycles that a job may take."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

#: Width of the limit.
LIMIT_BITS = 32


class JobWatchdog(wiring.Component):
    """Counts the cycles in which a job is `working` (being read or running) and none has `ended`. When they are more
    than `limit` (0: never), raises `late` until the next reset.

    So the oldest job is measured, from its start or, if that was later, the end of the job before. A job that has
    `ended` and waits for its completion to be taken is not late. A limit written while a job runs counts at once.
    `late` comes two or three cycles after the limit is passed; never with `ended` or for a job that has ended.
    """

    working: Signal
    ended: Signal
    limit: Signal
    late: Signal

    def __init__(self) -> None:
        super().__init__({"working": In(1), "ended": In(1), "limit": In(LIMIT_BITS), "late": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        cycles = Signal(LIMIT_BITS)
        limited = Signal()
        passed = Signal()        # a cycle late, so that the comparison is not in the path of `late`
        counts = Signal()
        m.d.comb += counts.eq(self.working & ~self.ended)
        m.d.sync += [limited.eq(self.limit != 0), passed.eq((cycles >= self.limit) & counts)]
        with m.If(~counts | self.late):
            m.d.sync += cycles.eq(0)
        with m.Else():
            m.d.sync += cycles.eq(cycles + 1)
        with m.If(passed & counts & limited):
            m.d.sync += self.late.eq(1)
        return m
