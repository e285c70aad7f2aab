"""Token pruning: finds the threshold digit by digit, then drops what lies below it."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.one_hot import one_hot_mux
from ..primitives.pipeline import delay
from ..primitives.widths import narrow, wrap
from .digit_counts import VALUES, DigitCounts
from .rows import class_bits, class_row, counts_below, digit_row
from .token_totals import READ_CYCLES

#: Cycles of a pass beyond the rows that it reads: one row to see that no more follow, then until the counts are known
#: (with `DigitCounts.latency`), and the decision.
PASS_CYCLES = 4 + READ_CYCLES + 4


class TokenPruning(wiring.Component):
    """`start` with 1 ≤ `keep` < the survivors: keeps the protected ones (id < `protect_first`, or among the last
    `protect_last` of `tokens`), then those with the largest totals, ties to the lowest id. `done` with the last cycle.

    A radix select in place: keys are compared by digits of 4 bits. The first digit is the magnitude, half the logarithm
    of a total: a few tokens often have totals of thousands of times the usual. A pass reads the totals of the
    candidates, S per cycle (class by class, through the lists), and counts how many have at least each value of the
    digit; that tells the threshold's digit, and the next pass goes on with the candidates that have it. They are kept
    as lists per class, so later passes are short. A key is total, then ~index, then ~lane: no two are the same, so
    equal totals need no quota. The search ends as soon as all that is left is kept. The final pass goes once more over
    the lists and puts those at or above the threshold.

    The first pass also counts the protected. If they are as many as are kept, it begins again among them.

    With r the longest class list: two passes of r rows, one or two of a few, the final one of r. At most
    ceil(key bits / 4) + 2 passes of at most r rows, and the final one; a pass takes `PASS_CYCLES` more than its rows.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.counts = DigitCounts(c)
        self.total_pairs = -(-c.token_score_bits // 2)
        self.index_pairs, self.lane_pairs = -(-c.row_bits // 2), -(-class_bits(c) // 2)
        self.tie_pairs = self.index_pairs + self.lane_pairs
        self.pairs = self.tie_pairs + self.total_pairs
        #: Pairs of bits of a total at its end that do not make a magnitude of their own.
        self.smallest = max(0, self.total_pairs - VALUES)
        super().__init__({
            "start": In(1), "busy": Out(1), "done": Out(1), "keep": In(c.count_bits),
            "tokens": In(c.count_bits), "protect_first": In(c.count_bits), "protect_last": In(c.count_bits),
            # The lists: rows to read, a cycle later what is there; what is put.
            "row": Out(c.row_bits), "candidates": Out(1), "live": In(c.slices), "digits": In(digit_row(c)),
            "open": Out(1), "open_candidates": Out(1), "renew": Out(1), "commit": Out(1),
            "put": Out(c.slices), "put_indexes": Out(class_row(c)), "put_digits": Out(digit_row(c)),
            # The totals: an access beside the lists' entries; indexes a cycle before the totals.
            "access": Out(1), "fetched": In(class_row(c)), "accessed": In(class_row(c)),
            "totals": In(data.ArrayLayout(c.token_score_bits, c.slices)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.counts = counts = self.counts
        window = Signal(range(self.pairs))
        threshold = Signal(2 * self.pairs, reset_less=True)
        need = Signal(c.count_bits, reset_less=True)
        digit = Signal(range(VALUES), reset_less=True)
        among_protected, final = Signal(), Signal()
        row = Signal(range(c.max_rows + 1))
        begun = Signal()                       # candidates exist
        scaled = Signal()                      # the threshold has digits beside a magnitude
        running = Signal()
        m.d.comb += [self.row.eq(row[:c.row_bits]), self.candidates.eq(begun & ~final)]

        # The pipeline behind the lists: read, (totals) fetch, key, and what is put.
        read = Signal()
        m.d.sync += read.eq(running)
        m.d.comb += self.access.eq(read)
        fits = Signal(c.slices)
        m.d.comb += fits.eq(Cat(self.live[b] & (final | ~begun | (self.digits[b] == digit)) & read
                                for b in range(c.slices)))
        at_key = delay(m, fits, READ_CYCLES, "fits", reset=True)
        tail = Signal(c.count_bits, reset_less=True)
        m.d.sync += tail.eq(Mux(self.protect_last >= self.tokens, 0, self.tokens - self.protect_last))
        first_ends, tail_begins = counts_below(m, c, self.protect_first, "first_ends"), counts_below(m, c, tail, "tail")
        protected = Signal(c.slices, reset_less=True)
        live_digits, apart = Signal(c.slices), Signal(c.slices)
        m.d.comb += [counts.live.eq(live_digits), counts.digits.eq(self.put_digits), counts.apart.eq(apart)]
        for b in range(c.slices):
            index = self.fetched[b]
            m.d.sync += protected[b].eq((index < first_ends[b]) | (index >= tail_begins[b]))
            key = Signal(2 * self.pairs, name=f"key_{b}")
            lane = Const((1 << class_bits(c)) - 1 - b, 2 * self.lane_pairs)
            m.d.comb += key.eq(Cat(lane, narrow(~self.accessed[b], 2 * self.index_pairs), self.totals[b]))
            above = Signal(name=f"above_{b}")
            m.d.comb += above.eq(key >= threshold)
            among = protected[b] == among_protected
            kept = Mux(among, above, ~among_protected)
            m.d.sync += [
                self.put_digits[b].eq(Mux(begun, key.bit_select(Cat(Const(0, 1), window), len(digit)),
                                          self._magnitude(m, self.totals[b], b))),
                self.put[b].eq(at_key[b] & Mux(final, kept, among)),
                live_digits[b].eq(at_key[b] & among & ~final), apart[b].eq(at_key[b] & protected[b] & ~begun),
            ]
        m.d.sync += self.put_indexes.eq(self.accessed)

        # What is on its way: until the row read last is put and counted.
        inside = Signal(READ_CYCLES + 1 + counts.latency)
        m.d.sync += inside.eq(Cat(read, inside)[:len(inside)])
        reach = Signal(VALUES)
        chosen = [reach[v] & ~(reach[v + 1] if v + 1 < VALUES else 0) for v in range(VALUES)]
        values = [counts.counts[v] for v in range(VALUES)]
        at, beyond = Signal(c.count_bits, reset_less=True), Signal(c.count_bits, reset_less=True)
        # The window that follows a magnitude begins with the highest pair of bits that is not 0.
        lead = Signal(range(self.pairs + 1))
        m.d.comb += lead.eq(narrow(digit + (self.tie_pairs + self.smallest), len(lead)))
        shifted = Signal(2 * self.pairs)
        m.d.comb += shifted.eq(wrap(Mux(begun, digit, digit != 0) << Cat(Const(0, 1), Mux(begun, window, lead)),
                                    2 * self.pairs))

        with m.If(running):
            m.d.sync += row.eq(row + 1)
            with m.If((row == c.max_rows - 1) | (read & ~self.live.any())):
                m.d.sync += running.eq(0)
        with m.FSM(name="prune") as fsm:
            with m.State("IDLE"):
                m.d.sync += [need.eq(self.keep), among_protected.eq(0), final.eq(0), begun.eq(0), threshold.eq(0),
                             scaled.eq(0)]
                with m.If(self.start):
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.comb += [self.open.eq(1), self.open_candidates.eq(self.candidates), counts.clear.eq(1)]
                m.d.sync += [row.eq(0), running.eq(1)]
                m.next = "PASS"
            with m.State("PASS"):
                with m.If(~running & ~read & ~inside.any()):
                    with m.If(final):
                        m.d.comb += [self.commit.eq(1), self.done.eq(1)]
                        m.next = "IDLE"
                    with m.Elif(~begun & ~among_protected):
                        m.next = "PROTECTED"
                    with m.Else():
                        m.next = "COMPARE"
            with m.State("PROTECTED"):
                m.next = "COMPARE"
                with m.If(counts.apart_count >= need):
                    m.d.sync += among_protected.eq(1)
                    m.next = "OPEN"
                with m.Else():
                    m.d.sync += need.eq(narrow(need - counts.apart_count, c.count_bits))
            with m.State("COMPARE"):
                m.d.sync += reach.eq(Cat(Const(1, 1), *(values[v] >= need for v in range(1, VALUES))))
                m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.d.sync += [at.eq(one_hot_mux(chosen, values)), beyond.eq(one_hot_mux(chosen, [*values[1:], 0])),
                             digit.eq(one_hot_mux(chosen, [Const(v, len(digit)) for v in range(VALUES)]))]
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += [
                    # The lowest total of a magnitude is no part of the digits that follow.
                    threshold.eq(Mux(scaled, threshold, 0) | shifted), scaled.eq(begun),
                    need.eq(narrow(need - beyond, c.count_bits)), begun.eq(1), final.eq(at == need),
                    window.eq(Mux(begun, Mux(window < 2, 0, window - 2), narrow(lead - 1, len(window)))),
                ]
                m.next = "OPEN"
                contract(m, (at == need) | ~begun | (window != 0), "no two keys are the same")
                contract(m, (at >= need) & (beyond < need), "the digit is that of the threshold")
        m.d.comb += [self.busy.eq(~fsm.ongoing("IDLE")), self.renew.eq(final & self.busy)]
        contract(m, fsm.ongoing("IDLE") & (self.keep != 0), "one pruning at a time", when=self.start)
        return m

    def _magnitude(self, m: Module, total: Value, lane: int) -> Signal:
        """The highest pair of bits of `total` that is not 0, counted from the smallest one that makes a magnitude."""
        magnitude = Signal(range(VALUES), name=f"magnitude_{lane}")
        for n in range(self.smallest + 1, self.total_pairs):
            with m.If(total[2 * n:2 * n + 2].any()):
                m.d.comb += magnitude.eq(n - self.smallest)
        return magnitude
