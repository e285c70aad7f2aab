"""Walks the survivor list: rows of ids, with the layer's sums beside them, for the score memory."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from .rows import ids_layout, layer_sum_bits, request_row, row_bits

#: Cycles from `start` to the first row on `requests`; then one row per cycle.
SCAN_CYCLES = 3


class ListScan(wiring.Component):
    """`start` sends rows 0 … ceil(count / L) − 1 (count ≥ 1) of the survivor list to `requests`.

    `every`: ids 0 … count − 1 instead of the list. `merge`: the rows are to be merged. List and sums are read
    through `read_enable`/`read_row`; ids arrive one enabled cycle later, sums two. Back-pressure stops both.
    `busy` from the cycle after `start` until the last row is taken.
    """

    requests: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "count": In(c.count_bits), "every": In(1), "merge": In(1), "busy": Out(1),
            "read_enable": Out(1), "read_row": Out(row_bits(c)), "ids": In(ids_layout(c)),
            "sums": In(data.ArrayLayout(layer_sum_bits(c), c.lanes)),
            "requests": Out(stream.Signature(request_row(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        left = Signal(c.count_bits)
        row = Signal(row_bits(c))
        fetch_row = Signal(row_bits(c))
        every = Signal()
        merge = Signal()
        count = Signal(c.lane_count_bits)
        last = Signal()
        fetch_valid = Signal()
        fetch_last = Signal()
        fetch_count = Signal(c.lane_count_bits)
        out_valid = Signal()
        out = self.requests.p
        go = Signal()
        m.d.comb += [
            go.eq(~out_valid | self.requests.ready),
            last.eq(left <= c.lanes), count.eq(Mux(last, left[:c.lane_count_bits], c.lanes)),
            self.read_enable.eq(go), self.read_row.eq(row),
            self.busy.eq((left != 0) | fetch_valid | out_valid),
            self.requests.valid.eq(out_valid), out.merge.eq(merge), out.adds.eq(self.sums),
        ]
        with m.If(go):
            m.d.sync += [
                fetch_valid.eq(left != 0), fetch_row.eq(row), fetch_count.eq(count), fetch_last.eq(last),
                out_valid.eq(fetch_valid), out.count.eq(fetch_count), out.last.eq(fetch_last),
                left.eq(Mux(last, 0, left - c.lanes)), row.eq(row + 1),
            ]
            for lane in range(c.lanes):
                position_ids = Cat(Const(lane, clog2(c.lanes)), fetch_row[:clog2(c.max_rows)])
                m.d.sync += out.ids[lane].eq(Mux(every, position_ids, self.ids[lane]))
        with m.If(self.start):
            m.d.sync += [left.eq(self.count), row.eq(0), every.eq(self.every), merge.eq(self.merge)]
        contract(m, (self.count != 0) & (self.count <= c.max_tokens), "a scan has 1 to max_tokens ids", when=self.start)
        contract(m, ~self.busy, "a scan starts when the one before has ended", when=self.start)
        return m
