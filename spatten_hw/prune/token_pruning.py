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
from .lane_compare import Search, compare_lanes
from .rows import DIGIT_BITS, class_row, counts_below, digit_row, key_bits, pruning_params, tie_bits
from .threshold_tracking import ThresholdTracking

#: Cycles of a pass beyond the rows that it reads, if the next one goes on with candidates, and of the last pass.
PASS_CYCLES = 7
#: Cycles more of a pass that finds the threshold, or that the protected tokens suffice.
FOUND_CYCLES = 5
#: Cycles from `start` to the first row, and one more if tracking has found the first digit.
START_CYCLES = 2


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

    The first pass also counts the protected, above all others. If they are as many as are kept, it begins again among
    them. The next pass starts to read before the threshold's digit is known, and is given up if it was the last.

    While no pruning runs, `vector`s of generation are passes too (`ThresholdTracking`): their rows come with the live
    lanes' bits in `row_live`, beside the access of the totals. If the last one found what is now looked for, its digit
    and its candidates are taken, which saves the two passes that read all survivors' totals to find candidates.

    Cycles from `start` to `done`, r the longest class list: `START_CYCLES`, the final pass of r rows, and the passes
    before. Tracked: 1 more, then passes of about r / 4, r / 16, … rows, down to 1. Else two of r rows, one or two of a
    few, at most ceil(key bits / 4) + 2. A pass takes `PASS_CYCLES` more than its rows, the last one before the final
    (and among the protected, the first) `FOUND_CYCLES` more.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.counts = DigitCounts(c)
        self.tracking = ThresholdTracking(c)
        self.bits = key_bits(c)
        #: Pairs of bits of a total, and those at its end that do not make a magnitude of their own.
        self.total_pairs = -(-c.token_score_bits // 2)
        self.smallest = max(0, self.total_pairs - VALUES)
        super().__init__({
            "start": In(1), "busy": Out(1), "done": Out(1), "params": In(pruning_params(c)),
            "next": In(pruning_params(c)), "follow": In(1), "spoil": In(1),
            "vector": In(1), "first": In(1), "last": In(1), "row_live": In(c.slices),
            # The lists: rows to read, a cycle later what is there; what is put.
            "row": Out(c.row_bits), "candidates": Out(1), "live": In(c.slices), "digits": In(digit_row(c)),
            "open": Out(1), "open_candidates": Out(1), "renew": Out(1), "commit": Out(1),
            "put": Out(c.slices), "put_indexes": Out(class_row(c)), "put_digits": Out(digit_row(c)),
            # The totals: an access beside the lists' entries; indexes 3 cycles later, then again with the totals.
            "access": Out(1), "accessed": In(class_row(c)), "indexes": In(class_row(c)),
            "totals": In(data.ArrayLayout(c.token_score_bits, c.slices)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.digit_counts, m.submodules.tracking = counts, tracking = self.counts, self.tracking
        window = Signal(range(self.bits))
        threshold = Signal(self.bits, reset_less=True)
        need = Signal(c.count_bits, reset_less=True)
        digit = Signal(range(VALUES), reset_less=True)
        tracks = Signal(init=1)                # no pruning runs
        begun = Signal()                       # the digit counted is one of the key, not the magnitude
        scaled = Signal()                      # the threshold has digits beside a magnitude
        among_protected = Signal()
        final = Signal(name="final_pass")
        row = Signal(range(c.max_rows + 2))
        running, over, read, read_first, ended, give_up = (
            Signal(name=name) for name in ("running", "over", "read", "read_first", "ended", "give_up"))
        m.d.comb += [self.row.eq(row[:c.row_bits]), self.access.eq(read), self.renew.eq(final)]

        # Behind the lists: `Read` (1), then the totals' stages Ask, Fetch, Total (4) and After (5), then put.
        m.d.sync += [read.eq(running & ~ended & ~give_up), read_first.eq(row == 0), over.eq(row == c.max_rows)]
        m.d.comb += ended.eq(read & (over | ~self.live.any()))
        chain = _Chain(m, give_up)
        of_vector = self.vector.replicate(c.slices)
        live = chain.later(self.live & (read & ~over).replicate(c.slices) | self.row_live & of_vector, 2, "live")
        digits = delay(m, self.digits, 2, "digits")
        fits = Signal(c.slices)
        m.d.comb += fits.eq(Cat(live[b] & (~self.candidates | (digits[b] == digit)) for b in range(c.slices)))
        at_key = chain.later(fits, 2, "fits")
        first = chain.later(read & read_first | self.vector & self.first, 3, "first")
        first_key = chain.later(first, 1, "first_key")
        m.d.sync += counts.first.eq(first_key)
        # A pass ends 2 cycles after its last row is in Read, a vector's last row is known 4 later.
        ending = Signal(3 + counts.latency + 3)
        last_key = chain.later(self.vector & self.last, 4, "last")
        m.d.sync += ending.eq(Mux(give_up, 0, Cat(ended, ending) | last_key << 3)[:len(ending)])
        opens, chooses = ending[4 + max(0, counts.latency - 3)], ending[4 + counts.latency]
        decided = ending[5 + counts.latency]

        params = tracking.params
        tail = Signal(c.count_bits, reset_less=True)
        m.d.sync += tail.eq(Mux(params.protect_last >= params.tokens, 0, params.tokens - params.protect_last))
        first_ends = counts_below(m, c, params.protect_first, "first_ends")
        tail_begins = counts_below(m, c, tail, "tail")
        m.d.comb += [
            tracking.next.eq(self.next), tracking.follow.eq(self.follow), tracking.job.eq(self.params),
            tracking.start.eq(self.start), tracking.opens.eq(tracks & first), tracking.closes.eq(last_key),
            tracking.spoil.eq(self.spoil),
            tracking.decided.eq(tracks & decided), tracking.digit.eq(digit),
        ]
        compare_lanes(m, self, Search(window, threshold, tracks, begun, among_protected, final), at_key, first_ends,
                      tail_begins, give_up)

        # The threshold's digit, from the counts: in how many steps they are compared, chosen, decided.
        reach = Signal(VALUES)
        chosen = [reach[v] & ~(reach[v + 1] if v + 1 < VALUES else 0) for v in range(VALUES)]
        values = [counts.counts[v] for v in range(VALUES)]
        at = Signal(c.count_bits, reset_less=True)
        beyond = Signal(c.count_bits, reset_less=True)
        higher = Signal()      # as many as are needed are certainly above
        higher_1 = Signal()
        m.d.sync += [reach.eq(Cat(Const(1, 1), *(values[v] >= need for v in range(1, VALUES)))),
                     higher.eq(counts.apart_count >= need)]
        with m.If(chooses):
            m.d.sync += [
                at.eq(one_hot_mux(chosen, values)), beyond.eq(one_hot_mux(chosen, [*values[1:], counts.apart_count])),
                digit.eq(one_hot_mux(chosen, [Const(v, len(digit)) for v in range(VALUES)])), higher_1.eq(higher),
            ]
        m.d.comb += tracking.higher.eq(higher_1)
        # The window that follows a magnitude begins with the highest pair of bits that is not 0.
        lead = Signal(range(self.bits))
        m.d.comb += lead.eq(narrow((digit << 1) + (tie_bits(c) + 2 * self.smallest), len(lead)))
        shifted = Signal(self.bits)
        m.d.comb += shifted.eq(wrap(Mux(begun, digit, digit != 0) << Mux(begun, window, lead), self.bits))

        def decide() -> None:
            m.d.sync += [
                # The lowest total of a magnitude is no part of the digits that follow.
                threshold.eq(Mux(scaled, threshold, 0) | shifted), scaled.eq(begun),
                need.eq(narrow(need - beyond, c.count_bits)), begun.eq(1), final.eq(at == need),
                window.eq(Mux(begun, Mux(window < DIGIT_BITS, 0, window - DIGIT_BITS), narrow(lead - 2, len(window)))),
            ]
            contract(m, (at == need) | ~begun | (window != 0), "no two keys are the same")
            contract(m, (at >= need) & (beyond < need), "the digit is that of the threshold")

        with m.If(running):
            m.d.sync += row.eq(row + 1)
            with m.If(ended):
                m.d.sync += running.eq(0)
        with m.FSM(name="prune") as fsm:
            with m.State("TRACK"):
                m.d.comb += self.open.eq(tracks & first_key)
                m.d.sync += [need.eq(params.keep), begun.eq(1), scaled.eq(0)]
                with m.If(first):
                    m.d.sync += [window.eq(tracking.window),
                                 threshold.eq(wrap(Const(1 << DIGIT_BITS) << tracking.window, self.bits))]
                with m.If(self.start):
                    m.d.sync += tracks.eq(0)
                    m.next = "TRACKED"
                    with m.If(~tracking.ready):
                        m.d.sync += [begun.eq(0), threshold.eq(0)]
                        m.next = "OPEN"
            with m.State("TRACKED"):
                decide()
                m.next = "OPEN"
            with m.State("OPEN"):
                again = begun & ~final
                m.d.comb += [self.open.eq(1), self.open_candidates.eq(again), give_up.eq(1)]
                m.d.sync += [self.candidates.eq(again), row.eq(0), running.eq(1)]
                with m.If(~begun):
                    m.d.sync += need.eq(params.keep)
                m.next = "PASS"
            with m.State("PASS"):
                with m.If(opens & ~final):
                    m.d.comb += [self.open.eq(1), self.open_candidates.eq(1)]
                    m.d.sync += [self.candidates.eq(1), row.eq(0), running.eq(1)]
                with m.If(decided & ~final):
                    with m.If(~begun & ~among_protected & higher_1):
                        m.d.sync += among_protected.eq(1)
                        m.next = "OPEN"
                    with m.Else():
                        decide()
                        with m.If(at == need):
                            m.next = "OPEN"
                with m.If(ending[4] & final):
                    m.d.comb += [self.commit.eq(1), self.done.eq(1), give_up.eq(1)]
                    m.d.sync += [tracks.eq(1), final.eq(0), among_protected.eq(0), self.candidates.eq(0)]
                    m.next = "TRACK"
        m.d.comb += self.busy.eq(~fsm.ongoing("TRACK"))
        contract(m, fsm.ongoing("TRACK") & (self.params.keep != 0), "one pruning at a time", when=self.start)
        contract(m, ~self.vector | fsm.ongoing("TRACK"), "no vectors while tokens are pruned")
        return m


class _Chain:
    """Registers with a reset, all cleared by `clear`."""

    def __init__(self, m: Module, clear: Value):
        self.m, self.clear = m, clear

    def later(self, value: Value, cycles: int, name: str) -> Value:
        """`value` so many cycles later."""
        for n in range(cycles):
            register = Signal(value.shape(), name=f"{name}_{n + 1}")
            self.m.d.sync += register.eq(Mux(self.clear, 0, value))
            value = register
        return value
