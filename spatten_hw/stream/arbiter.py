"""Round robin: which of several requesters goes next."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..contract import at_most_one, contract
from ..primitives.one_hot import lowest_set, one_hot_index


class RoundRobin(wiring.Component):
    """Grants one of `n` requesters; the one after the last served has the highest priority.

    Ports: `requests` (n bits), `advance`, `grant` (n bits, one-hot, 0 without a request), `index` (its number,
    0 without a request), `any` (there is a request). `grant` is combinational from `requests` and a register: no
    latency. It may move to a new requester of higher priority until `advance` (the granted one is served in
    this cycle) is high; `advance` without requests does nothing. A requester that keeps its request high is
    served within `n` advances.
    """

    requests: Signal
    advance: Signal
    grant: Signal
    index: Signal
    any: Signal

    def __init__(self, n: int):
        if n < 1:
            raise ValueError(f"an arbiter needs at least 1 requester, not {n}")
        self.n = n
        super().__init__({
            "requests": In(n), "advance": In(1),
            "grant": Out(n), "index": Out(max(1, clog2(n))), "any": Out(1),
        })
        # Bits above the last one served; made here because the formal proof looks at it.
        self.after_last = Signal(n)

    def elaborate(self, platform) -> Module:
        m = Module()
        n = self.n
        # Requesters above the last one served come first. Two lowest-bit searches in parallel (among these, among
        # all) are a shorter path than a rotation.
        after_last = self.after_last
        preferred = Signal(n)
        lowest_preferred = Signal(n)
        lowest = Signal(n)
        m.d.comb += [
            preferred.eq(self.requests & after_last),
            lowest_preferred.eq(lowest_set(preferred)),
            lowest.eq(lowest_set(self.requests)),
            self.any.eq(self.requests.any()),
            self.grant.eq(Mux(preferred.any(), lowest_preferred, lowest)),
            self.index.eq(one_hot_index(self.grant)),
        ]
        with m.If(self.advance & self.any):
            m.d.sync += after_last.eq(~(self.grant | (self.grant - 1)[:n]))
        contract(m, at_most_one(self.grant) & (self.grant.any() == self.requests.any())
                 & ((self.grant & ~self.requests) == 0), "one of those who ask is granted, nobody else")
        contract(m, self.index < n, "the index is a requester's")
        return m
