"""Walks Q×K commands: one row group of one query per cycle, command after command without a gap."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.widths import narrow
from ..stream.job_layouts import job_layout
from ..stream.layouts import qk_command


def issue_layout(c: SpAttenConfig) -> data.StructLayout:
    """Score row group `row` (`count` keys live, `last` of the vector) for `slot`. `stream`: K is the row group at the
    front of the K stream, which is taken with this issue if `spent`; else row `row` of SRAM half `half`."""
    return data.StructLayout({
        "slot": unsigned(c.slot_bits), "row": unsigned(c.token_bits), "count": unsigned(c.lane_count_bits),
        "last": 1, "replay": 1, "stream": 1, "half": 1, "spent": 1,
    })


class RowIssue(wiring.Component):
    """Executes commands in order: row by row, and within a row the slots of the gang.

    q_arrived: a q row was stored this cycle. A command that is not a replay starts only when its `gang` q rows
        have arrived; they come in the order of these commands' slots. Every command has keys ≥ 1, gang ≥ 1.
    o: one issue per cycle. The next command is taken in the cycle of the last issue of the one before: no gap.
        `cmd.ready` follows `o.ready` combinationally. First issue one cycle after the command was taken.
    starved: a command waits for q rows and nothing else keeps the unit busy.
    """

    job: data.View
    cmd: stream.Interface
    q_arrived: Signal
    o: stream.Interface
    starved: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)),
            "cmd": In(stream.Signature(qk_command(c))),
            "q_arrived": In(1),
            "o": Out(stream.Signature(issue_layout(c))),
            "starved": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config

        running = Signal()
        command = Signal(qk_command(c))
        keys_left = Signal(c.count_bits)
        row = Signal(c.token_bits)
        member = Signal(c.max_group.bit_length())
        slot = Signal(c.slot_bits)

        lanes = Signal(c.lane_count_bits)
        # For the next row and slot to issue; computed a cycle ahead, since much logic depends on them.
        last_row = Signal()
        last_member = Signal()
        step = Signal()
        finish = Signal()
        m.d.comb += [
            lanes.eq(Const(c.lanes) >> self.job.dim_log2),
            self.o.valid.eq(running),
            self.o.p.slot.eq(slot),
            self.o.p.row.eq(row),
            self.o.p.count.eq(narrow(Mux(last_row, keys_left, lanes), c.lane_count_bits)),
            self.o.p.last.eq(last_row),
            self.o.p.replay.eq(command.replay),
            self.o.p.stream.eq(command.stream),
            self.o.p.half.eq(command.half),
            self.o.p.spent.eq(last_member | command.pair),
            step.eq(self.o.valid & self.o.ready),
            finish.eq(step & last_row & last_member),
        ]
        with m.If(step):
            with m.If(last_member):
                m.d.sync += [member.eq(0), slot.eq(command.slot), row.eq(row + 1),
                             keys_left.eq(keys_left - lanes), last_row.eq(keys_left <= lanes << 1),
                             last_member.eq(command.gang == 1)]
            with m.Else():
                m.d.sync += [member.eq(member + 1), slot.eq(slot + 1), last_member.eq(member + 2 == command.gang)]

        # q rows stored but not yet claimed by a command; a slot holds at most one, a gang at most max_group.
        unclaimed = Signal((c.slots + c.max_group).bit_length())
        enough = Signal()
        start = Signal()
        m.d.comb += [
            enough.eq(self.cmd.p.replay | (unclaimed >= self.cmd.p.gang)),
            self.cmd.ready.eq(enough & (~running | finish)),
            start.eq(self.cmd.valid & self.cmd.ready),
            self.starved.eq(self.cmd.valid & ~enough & ~running),
        ]
        m.d.sync += unclaimed.eq(
            unclaimed + self.q_arrived - Mux(start & ~self.cmd.p.replay, self.cmd.p.gang, 0))
        with m.If(start):
            m.d.sync += [running.eq(1), command.eq(self.cmd.payload), keys_left.eq(self.cmd.p.keys),
                         row.eq(0), member.eq(0), slot.eq(self.cmd.p.slot),
                         last_row.eq(self.cmd.p.keys <= lanes), last_member.eq(self.cmd.p.gang == 1)]
        with m.Elif(finish):
            m.d.sync += running.eq(0)
        contract(m, self.cmd.p["keys"] != 0, "a command has keys", when=self.cmd.valid)
        contract(m, (self.cmd.p.gang != 0) & (self.cmd.p.gang <= c.max_group), "a gang has 1 to max_group queries",
                 when=self.cmd.valid)
        contract(m, unclaimed <= c.slots + c.max_group, "no more q rows wait than slots hold")
        contract(m, (unclaimed >= self.cmd.p.gang) | self.cmd.p.replay, "a command starts when its q rows are there",
                 when=start)
        contract(m, (keys_left != 0) & (self.o.p.count <= lanes), "a row has 1 to R keys", when=running)
        contract(m, command.stream | (row < c.sram_rows), "rows of the SRAM are in range", when=running)
        contract(m, member < command.gang, "queries are the gang's", when=running)
        return m
