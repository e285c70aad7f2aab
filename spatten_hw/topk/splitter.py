"""Splits rows of keys around a pivot: two comparator arrays, two zero eliminators (SpAtten, Figure 12)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract import always_taken, contract, contracts_on
from ..primitives.adder_tree import balanced_sum
from ..primitives.widths import narrow
from .packer import Packer, packed_row
from .zero_eliminator import ZeroEliminator


class Splitter(wiring.Component):
    """Keys below the pivot leave through `below_keys`, keys above it through `above_keys`, both as dense rows.

    One row per cycle. In: `valid`, `keys`, `live` lanes, `last` row of a pass, `pivot` (constant
    over a pass), `probe`. `LATENCY` = 3 cycles after a pass's last row, `done` is high with `above`
    (keys > pivot), `above_equal` (keys ≥ pivot) and `done_pivot`. `below_keys` and `above_keys` end 5 cycles after
    the last row, both with a `last` row (empty if nothing went there).

    A row with `probe` is a pass of its own whose keys are only counted, not output. `clear` cancels probes in
    the pipeline. A row may not follow a `last` one directly unless it is a probe.
    """

    LATENCY = 3

    valid: Signal
    probe: Signal
    clear: Signal
    last: Signal
    live: Signal
    pivot: Signal
    keys: data.View
    done: Signal
    above: Signal
    above_equal: Signal
    done_pivot: Signal
    below_keys: stream.Interface
    above_keys: stream.Interface

    def __init__(self, key_bits: int, lanes: int, count_bits: int):
        self.key_bits = key_bits
        self.lanes = lanes
        self.count_bits = count_bits
        side = stream.Signature(packed_row(key_bits, lanes, 0), always_ready=True)
        super().__init__({
            "valid": In(1), "probe": In(1), "clear": In(1), "last": In(1), "pivot": In(key_bits),
            "keys": In(data.ArrayLayout(unsigned(key_bits), lanes)), "live": In(lanes),
            "done": Out(1), "above": Out(count_bits), "above_equal": Out(count_bits),
            "done_pivot": Out(key_bits), "below_keys": Out(side), "above_keys": Out(side),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, count_bits = self.lanes, self.count_bits
        m.submodules.eliminate_below = eliminate_below = ZeroEliminator(self.key_bits, lanes)
        m.submodules.eliminate_above = eliminate_above = ZeroEliminator(self.key_bits, lanes)
        m.submodules.pack_below = pack_below = Packer(self.key_bits, lanes)
        m.submodules.pack_above = pack_above = Packer(self.key_bits, lanes)

        # Control beside the data, one register per stage: compared, counted, (dense).
        valid = Signal(3)
        probe = Signal(2)
        last = Signal(3)
        row_pass = Signal(3)
        reaching = Signal(lanes)  # lanes with a key not below the pivot
        # A row has as many live keys as a count can hold, even if it has more lanes.
        above_equal_row = Signal(min(lanes.bit_length(), count_bits))
        pivot_compared = Signal(self.key_bits, reset_less=True)
        pivot_counted = Signal(self.key_bits, reset_less=True)
        pass_through = Signal()
        m.d.comb += pass_through.eq(self.valid & ~self.probe)
        m.d.sync += [
            valid[0].eq(self.valid & ~self.clear), valid[1].eq(valid[0] & ~self.clear),
            probe[0].eq(self.probe), probe[1].eq(probe[0]),
            last[0].eq(self.last), last[1].eq(last[0]), last[2].eq(last[1]),
            row_pass[0].eq(pass_through), row_pass[1].eq(row_pass[0]), row_pass[2].eq(row_pass[1]),
            above_equal_row.eq(narrow(balanced_sum(list(reaching)), len(above_equal_row))),
            pivot_compared.eq(self.pivot), pivot_counted.eq(pivot_compared),
        ]

        # The two comparator arrays.
        keys = Signal(data.ArrayLayout(unsigned(self.key_bits), lanes), reset_less=True)
        smaller = Signal(lanes)
        larger = Signal(lanes)
        m.d.sync += keys.eq(self.keys)
        for j in range(lanes):
            m.d.sync += [
                smaller[j].eq((self.keys[j] < self.pivot) & self.live[j]),
                larger[j].eq((self.keys[j] > self.pivot) & self.live[j]),
                reaching[j].eq((self.keys[j] >= self.pivot) & self.live[j]),
            ]

        for mask, eliminate, pack, out in (
                (smaller, eliminate_below, pack_below, self.below_keys),
                (larger, eliminate_above, pack_above, self.above_keys)):
            m.d.comb += [
                eliminate.enable.eq(1), eliminate.elements.eq(keys), eliminate.keep.eq(mask),
                pack.i.valid.eq(row_pass[2]), pack.i.p.elements.eq(eliminate.dense),
                pack.i.p.count.eq(eliminate.count), pack.i.p.last.eq(last[2]),
                pack.o.ready.eq(1), out.valid.eq(pack.o.valid), out.payload.eq(pack.o.payload),
            ]

        # Sizes of the sides, ready before the keys have left.
        above_row = Signal.like(above_equal_row)
        above = Signal(count_bits)
        above_equal = Signal(count_bits)
        above_sum = Signal(count_bits)
        above_equal_sum = Signal(count_bits)
        m.d.comb += [
            above_row.eq(narrow(eliminate_above.count_early, len(above_row))),
            above_sum.eq(above + above_row),
            above_equal_sum.eq(above_equal + above_equal_row),
        ]
        with m.If(valid[1] & ~probe[1]):
            m.d.sync += [
                above.eq(Mux(last[1], 0, above_sum)), above_equal.eq(Mux(last[1], 0, above_equal_sum)),
            ]
        m.d.sync += [
            self.done.eq(valid[1] & (last[1] | probe[1]) & ~self.clear),
            self.above.eq(Mux(probe[1], above_row, above_sum)),
            self.above_equal.eq(Mux(probe[1], above_equal_row, above_equal_sum)),
            self.done_pivot.eq(pivot_counted),
        ]
        for name, pack in (("below", pack_below), ("above", pack_above)):
            always_taken(m, pack.i, f"{name} keys")
        if contracts_on():
            ended = Signal()
            m.d.sync += ended.eq(self.valid & self.last & ~self.probe)
            contract(m, self.probe, "no row follows a last one directly but a probe", when=self.valid & ended)
        return m
