"""The keys of a row, one lane each: which are kept or go on as candidates, and what digit of theirs is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from ..primitives.widths import narrow
from .digit_counts import VALUES
from .rows import DIGIT_BITS, class_bits, tie_bits

if TYPE_CHECKING:
    from .token_pruning import TokenPruning


@dataclass(frozen=True)
class Search:
    """Where a search is. `threshold`: as far as it is known, the next digit begins at bit `window`; `tracks`: no
    pruning runs; `begun`: the digit is one of the key, not the magnitude; `among_protected`: only they are left;
    `final`: what lies at or above the threshold is put."""

    window: Signal
    threshold: Signal
    tracks: Signal
    begun: Signal
    among_protected: Signal
    final: Signal


def compare_lanes(m: Module, pruning: TokenPruning, search: Search, at_key: Value, first_ends: data.View,
                  tail_begins: data.View, give_up: Signal) -> None:
    """Lanes with a bit in `at_key` have a candidate. Tokens below `first_ends` and from `tail_begins` on are
    protected."""
    c = pruning.config
    protected = Signal(c.slices, name="protected_lanes", reset_less=True)
    counts_live = Signal(c.slices)
    apart = Signal(c.slices)
    counts, tracking = pruning.counts, pruning.tracking
    m.d.comb += [counts.live.eq(counts_live), counts.digits.eq(pruning.put_digits), counts.apart.eq(apart)]
    for b in range(c.slices):
        index = pruning.accessed[b]
        m.d.sync += protected[b].eq((index < first_ends[b]) | (index >= tail_begins[b]))
        key = Signal(pruning.bits, name=f"key_{b}")
        lane = Const((1 << class_bits(c)) - 1 - b, 2 * -(-class_bits(c) // 2))
        m.d.comb += key.eq(Cat(lane, narrow(~pruning.indexes[b], tie_bits(c) - len(lane)), pruning.totals[b]))
        above = Signal(name=f"above_{b}")
        found = Signal(DIGIT_BITS, name=f"digit_{b}")
        m.d.comb += [above.eq(key >= search.threshold),
                     found.eq(Mux(search.begun, key.bit_select(search.window, DIGIT_BITS),
                                  _magnitude(m, pruning, pruning.totals[b], b)))]
        # What is certainly above the digits counts with the highest, and by itself. In tracking, the threshold is the
        # end of the window.
        certain = Mux(search.tracks, protected[b] | above, protected[b] & ~search.begun & ~search.among_protected)
        among = protected[b] == search.among_protected
        kept = Mux(among, above, ~search.among_protected)
        near = ~certain & (found >= tracking.low) & (found <= tracking.high)
        m.d.sync += [
            pruning.put_digits[b].eq(found | certain.replicate(DIGIT_BITS)),
            pruning.put[b].eq(at_key[b] & ~give_up & Mux(search.final, kept, Mux(search.tracks, near, among))),
            counts_live[b].eq(at_key[b] & (protected[b] | ~search.among_protected)), apart[b].eq(at_key[b] & certain),
        ]
    m.d.sync += pruning.put_indexes.eq(pruning.indexes)


def _magnitude(m: Module, pruning: TokenPruning, total: Value, lane: int) -> Signal:
    """The highest pair of bits of `total` that is not 0, counted from the smallest one that makes a magnitude."""
    magnitude = Signal(range(VALUES), name=f"magnitude_{lane}")
    for n in range(pruning.smallest + 1, pruning.total_pairs):
        with m.If(total[2 * n:2 * n + 2].any()):
            m.d.comb += magnitude.eq(n - pruning.smallest)
    return magnitude
