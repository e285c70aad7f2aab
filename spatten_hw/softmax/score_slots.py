"""Pass 1: the score slots. Stores score rows, adds LSB passes to them, keeps running maxima."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract, contracts_on
from ..primitives.pipeline import delay
from ..primitives.registers import NO_COLLISIONS
from ..primitives.widths import narrow
from ..stream.fifo import never_full, never_full_latency
from ..stream.job_layouts import dim_case, job_layout
from ..stream.layouts import score_row
from .rows import ready_vector
from .running_max import RunningMax


class ScoreSlots(wiring.Component):
    """`slots` vectors of up to `max_tokens` exact scores, kept as L-lane rows.

    `i`: always accepted, one row of R = L >> dim_log2 scores per cycle; rows of one slot in order, those of
    different slots in any interleaving. Row r goes to lanes (r·R mod L) … of memory row r·R div L; a `replay` row
    is added to what is stored there. Each score is read and written once per pass, so adding has no hazard, and
    rows may follow each other in any way. `ready`: vectors whose last row has arrived, in that order, with their
    maximum, `latency` cycles after that row; at most `slots` wait here, so it never overflows.
    `read_row` → `read_scores`: L scores of pass 2, one cycle later, any time once `ready`. `active`: rows under way.
    """

    #: Lanes placed, stored score read, added.
    STORE = 3

    i: stream.Interface
    ready: stream.Interface
    read_row: Signal
    active: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.row_bits = clog2(c.max_rows)
        #: Memory banks: the most rows of R lanes that make one of L.
        self.banks = 1 << (len(c.dims) - 1)
        self.maximum = RunningMax(c)
        #: From a vector's last row to `ready`.
        self.latency = self.STORE + self.maximum.latency + never_full_latency(c.slots)
        super().__init__({
            "dim_log2": In(job_layout(c)["dim_log2"].shape),
            "i": In(stream.Signature(score_row(c))),
            "ready": Out(stream.Signature(ready_vector(c))),
            "read_row": In(c.slot_bits + self.row_bits),
            "read_scores": Out(data.ArrayLayout(score_row(c)["scores"].shape.elem_shape, c.lanes)),
            "active": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        row = self.i.p
        scores = data.ArrayLayout(score_row(c)["scores"].shape.elem_shape, c.lanes)
        m.d.comb += self.i.ready.eq(1)

        # Placed: each lane selects the only score that it can get; `live` says whether it gets one.
        placed = Signal(scores, reset_less=True)
        live = Signal(c.lanes, reset_less=True)
        banks = Signal(self.banks, reset_less=True)
        address = Signal(c.slot_bits + self.row_bits, reset_less=True)
        with m.Switch(self.dim_log2):
            for e in range(len(c.dims)):
                width = c.lanes >> e
                per_bank = c.lanes // self.banks
                part = row.row[:e] if e else Const(0, 1)
                with dim_case(m, c, e):
                    for lane in range(c.lanes):
                        m.d.sync += [
                            placed[lane].eq(row.scores[lane % width]),
                            live[lane].eq((part == lane // width) & (row.count > lane % width)),
                        ]
                    for b in range(self.banks):
                        m.d.sync += banks[b].eq(part == b * per_bank // width)
                    m.d.sync += address.eq(Cat(narrow(row.row[e:], self.row_bits), row.slot))
        under_way = Signal(self.STORE)
        m.d.sync += under_way.eq(Cat(self.i.valid, under_way[:-1]))

        # Added: the stored score arrives one cycle after its address. (msb·2^l + lsb)·q is a full product again,
        # which score_bits hold.
        stored = Signal(scores)
        summed = Signal(scores, reset_less=True)
        arriving = delay(m, placed, 1, "arriving")
        replay = delay(m, row.replay, self.STORE - 1, "replay")
        for lane in range(c.lanes):
            added = Mux(replay, stored[lane], 0) + arriving[lane]
            m.d.sync += summed[lane].eq(narrow(added, c.score_bits).as_signed())

        # One memory bank per group of lanes that is written separately; a copy of the bank feeds the addition.
        final_address = delay(m, address, self.STORE - 1, "final_address")
        final_banks = delay(m, banks, self.STORE - 1, "final_banks")
        per_bank = c.lanes // self.banks
        width = per_bank * c.score_bits
        for b in range(self.banks):
            for use in ("read", "add"):
                memory = Memory(shape=width, depth=c.slots << self.row_bits, init=[], attrs=NO_COLLISIONS)
                m.submodules[f"{use}_bank_{b}"] = memory
                write = memory.write_port()
                port = memory.read_port(domain="sync", transparent_for=())
                bits = slice(b * width, (b + 1) * width)
                m.d.comb += [
                    write.addr.eq(final_address),
                    write.data.eq(summed.as_value()[bits]),
                    write.en.eq(under_way[-1] & final_banks[b]),
                    port.en.eq(1),
                ]
                if use == "read":
                    m.d.comb += [
                        port.addr.eq(self.read_row),
                        self.read_scores.as_value()[bits].eq(port.data),
                    ]
                else:
                    m.d.comb += [port.addr.eq(address), stored.as_value()[bits].eq(port.data)]

        m.submodules.maximum = maximum = self.maximum
        m.submodules.queue = queue = never_full(ready_vector(c), c.slots)
        m.d.comb += [
            maximum.i.valid.eq(under_way[-1]),
            maximum.i.p.scores.eq(summed),
            maximum.i.p.live.eq(delay(m, live, self.STORE - 1, "live")),
            maximum.i.p.slot.eq(delay(m, row.slot, self.STORE, "slot")),
            maximum.i.p.first.eq(delay(m, row.row == 0, self.STORE, "first")),
            maximum.i.p.last.eq(delay(m, row.last, self.STORE, "last")),
            maximum.i.p.replay.eq(delay(m, replay, 1, "final_replay")),
            queue.i.valid.eq(maximum.o.valid),
            queue.i.payload.eq(maximum.o.payload),
            self.ready.valid.eq(queue.o.valid),
            self.ready.payload.eq(queue.o.payload),
            queue.o.ready.eq(self.ready.ready),
            self.active.eq(under_way.any() | maximum.active | queue.o.valid),
        ]
        contract(m, (row.count != 0) & (row.count <= (c.lanes >> self.dim_log2)), "a row has 1 to R scores",
                 when=self.i.valid)
        contract(m, (row.row >> self.dim_log2) < c.max_rows, "rows are in range", when=self.i.valid)
        if contracts_on():
            awaited = Array([Signal(c.token_bits, name=f"awaited_{s}") for s in range(c.slots)])
            with m.If(self.i.valid):
                m.d.sync += awaited[row.slot].eq(Mux(row.last, 0, row.row + 1))
            contract(m, row.row == awaited[row.slot], "rows of a slot come in order", when=self.i.valid)
        return m
