"""Token totals by id, in L banks: gather L totals or add to L totals per cycle."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Array, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract, contracts_on, full_rows
from .rows import layer_sum_bits, request_row, row_bits, total_row

#: Cycles from an accepted row without bank conflicts to its totals on `totals`, or (merge) in the memory.
GATHER_CYCLES = 5
MERGE_CYCLES = 6


class ScoreMemory(wiring.Component):
    """Cumulative importance of every token id, `token_score_bits` unsigned; id lives in bank id mod L.

    `requests`: rows of L ids, strictly ascending over the whole sequence of rows up to `last` (so no total is
    in the pipeline twice and nothing needs forwarding). `merge` adds `adds` to the totals, saturating; else
    the totals come out on `totals`, in order. One row per cycle while the ids of a row lie in different
    banks; a row takes as many cycles as its fullest bank has ids. Back-pressure on `totals` stops the
    pipeline. `idle`: no row is inside; wait for it between a merge and a gather.

    `write` (only when idle): the lanes of `write_row` in `write_lanes` become `write_total`.
    """

    requests: stream.Interface
    totals: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "requests": In(stream.Signature(request_row(c))),
            "totals": Out(stream.Signature(total_row(c))),
            "idle": Out(1),
            "write": In(1), "write_row": In(row_bits(c)), "write_lanes": In(c.lanes),
            "write_total": In(c.token_score_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        lanes, bank_bits, width = c.lanes, clog2(c.lanes), c.token_score_bits
        out = self.totals.p
        out_valid = Signal()
        go = Signal()
        m.d.comb += [go.eq(~out_valid | self.totals.ready), self.totals.valid.eq(out_valid)]

        # Issue: of the lanes still pending, the lowest of every bank goes.
        row = Signal(request_row(c))
        valid = Signal()
        done = Signal()
        pending = Signal(lanes)
        grant = Signal(lanes)
        # clash[i][j]: lane i waits for lane j < i. Compared when the row arrives, off the issue path.
        clash = [Signal(lanes, name=f"clash_{i}") for i in range(lanes)]
        m.d.comb += [
            grant.eq(Cat(pending[i] & ~(clash[i] & pending).any() for i in range(lanes))),
            done.eq((pending & ~grant) == 0),
            self.requests.ready.eq(go & (~valid | done)),
        ]
        with m.If(go):
            m.d.sync += pending.eq(pending & ~grant)
            with m.If(done):
                m.d.sync += valid.eq(0)
        with m.If(self.requests.valid & self.requests.ready):
            p = self.requests.p
            m.d.sync += [row.eq(p), valid.eq(1), pending.eq(Cat(i < p.count for i in range(lanes)))]
            for i in range(lanes):
                m.d.sync += clash[i].eq(Cat((p.ids[i][:bank_bits] == p.ids[j][:bank_bits]) for j in range(i)))

        # Read (bank addresses), Fetch (bank outputs), Hold (registered), Write.
        stages = [_Stage(c, name) for name in ("read", "fetch", "hold")]
        first = stages[0]
        with m.If(go):
            m.d.sync += [first.valid.eq(valid), first.done.eq(done), first.take.eq(grant), first.row.eq(row)]
            for before, after in pairwise(stages):
                m.d.sync += after.follow(before)
        hold = stages[-1]
        write_valid = Signal()
        with m.If(go):
            m.d.sync += write_valid.eq(hold.valid & hold.row.merge)

        held = [Signal(width, name=f"held_{b}") for b in range(lanes)]
        for b in range(lanes):
            bank = memory.Memory(shape=unsigned(width), depth=c.max_rows, init=[])
            m.submodules[f"bank_{b}"] = bank
            wr = bank.write_port()
            rd = bank.read_port(transparent_for=())
            chosen = [Signal(name=f"chosen_{b}_{i}") for i in range(lanes)]
            m.d.comb += [s.eq(grant[i] & (row.ids[i][:bank_bits] == b)) if bank_bits else s.eq(grant[i])
                         for i, s in enumerate(chosen)]
            row_of, add_of = Const(0, row_bits(c)), Const(0, layer_sum_bits(c))
            for i, s in enumerate(chosen):
                row_of = row_of | (row.ids[i][bank_bits:] & s.replicate(row_bits(c)))
                add_of = add_of | (row.adds[i] & s.replicate(layer_sum_bits(c)))
            valids = [Signal(name=f"{n}_on_{b}") for n in ("read", "fetch", "hold", "write")]
            rows = [Signal(row_bits(c), name=f"{n}_row_{b}") for n in ("read", "fetch", "hold", "write")]
            addends = [Signal(layer_sum_bits(c), name=f"{n}_add_{b}") for n in ("read", "fetch", "hold")]
            total = Signal(width + 1, name=f"total_{b}")
            merged = Signal(width, name=f"merged_{b}")
            m.d.comb += [
                rd.addr.eq(rows[0][:len(rd.addr)]), rd.en.eq(go),
                total.eq(held[b] + addends[2]),
                wr.en.eq((write_valid & valids[3]) | (self.write & self.write_lanes[b])),
                wr.addr.eq(Mux(self.write, self.write_row, rows[3])[:len(wr.addr)]),
                wr.data.eq(Mux(self.write, self.write_total, merged)),
            ]
            with m.If(go):
                m.d.sync += [
                    valids[0].eq(Cat(chosen).any()), rows[0].eq(row_of), addends[0].eq(add_of), held[b].eq(rd.data),
                    merged.eq(total[:width] | total[-1].replicate(width)),
                ]
                m.d.sync += [y.eq(x) for pipe in (valids, rows, addends) for x, y in pairwise(pipe)]

        # Gather: a lane that was granted takes its bank's total; the row leaves with its last lane.
        banks = Array(held)
        with m.If(go):
            m.d.sync += [
                out_valid.eq(hold.valid & hold.done & ~hold.row.merge),
                out.ids.eq(hold.row.ids), out.count.eq(hold.row.count), out.last.eq(hold.row.last),
            ]
            for i in range(lanes):
                source = banks[hold.row.ids[i][:bank_bits]] if bank_bits else held[0]
                with m.If(hold.take[i]):
                    m.d.sync += out.totals[i].eq(source)
        m.d.comb += self.idle.eq(~(valid | write_valid | out_valid | Cat(s.valid for s in stages).any()))
        contract(m, self.idle, "totals are set only while no row is inside", when=self.write)
        if contracts_on():
            before, begun, merging = Signal(row_bits(c) + bank_bits + 1), Signal(), Signal()
            ids = [Mux(begun, before, 0), *(p.ids[i] + 1 for i in range(lanes))]
            taken = self.requests.valid & self.requests.ready
            with m.If(taken):
                m.d.sync += [before.eq(Array(ids)[p.count]), begun.eq(~p.last), merging.eq(p.merge)]
            contract(m, full_rows(p.count, p.last, lanes), "rows are full but for the last", when=self.requests.valid)
            contract(m, Cat((ids[i + 1] > ids[i]) | (p.count <= i) for i in range(lanes)).all(), "ids ascend strictly",
                     when=self.requests.valid)
            contract(m, self.idle | ~merging | p.merge, "totals are read when all rows before are merged", when=taken)
        return m


class _Stage:
    """What travels with a group of lanes through the memory."""

    def __init__(self, c: SpAttenConfig, name: str):
        self.valid = Signal(name=f"{name}_valid")
        self.done = Signal(name=f"{name}_done")
        self.take = Signal(c.lanes, name=f"{name}_take")
        self.row = Signal(request_row(c), name=f"{name}_request")

    def follow(self, before: _Stage) -> list:
        return [self.valid.eq(before.valid), self.done.eq(before.done), self.take.eq(before.take),
                self.row.eq(before.row)]
