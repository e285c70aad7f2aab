"""Q×K: scores of queries against the keys of the K SRAM or of the K stream, R per cycle."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract, contracts_on
from ..primitives.registers import local_copy
from ..stream.job_layouts import job_layout
from ..stream.layouts import operand_row, q_row, qk_command, score_row
from ..stream.skid import SpareBuffer
from .key_buffer import KeyBuffer
from .operand_buffer import row_bits
from .row_issue import RowIssue, issue_layout
from .score_array import ScoreArray, score_array_latency


def score_latency(c: SpAttenConfig) -> int:
    """Cycles from taking a command (q rows and K there, output ready) to its first score row on `o`:
    command register, memory read, array."""
    return 2 + score_array_latency(c)


class ScoreUnit(wiring.Component):
    """Executes `qk_command`s in order: exact scores, one row group of R = M/D per cycle.

    k_rows: K rows from the fetcher; fills go to the K SRAM at any time, the others are used in order by the
        commands with `stream`, each for `gang` cycles (with `pair`: for one). q_rows: always taken, kept per slot
        until overwritten; they arrive in the order of the slots of the commands that are not replays.
    o: rows of n keys take ceil(n/R) cycles per query with no gap between rows, queries or commands as long as
        q rows (before the command's turn) and K rows are there. A row that is not taken waits in a spare register
        and stalls the whole pipeline (a clock enable). Fills never wait for it. `job` is constant from two cycles
        before the first command.
    filled, filled_half: see `OperandBuffer`.
    busy: a command waits or runs, or scores are in the pipe. stall: K or q rows are wanted and missing
        (a part of busy).

    Valid input: keys ≥ 1, 1 ≤ gang ≤ max_group, ceil(keys/R) ≤ sram_rows for SRAM commands; the rows of a `k_command`
    are those that its `qk_command`s score. (SpAtten, section IV-E.)
    """

    #: The layer; constant from two cycles before its first command.
    job: data.View
    #: One query's scores, or a gang's: `qk_command`, in order.
    cmd: stream.Interface
    #: K rows from the fetcher, `operand_row`: fills for the SRAM, the others used in order of arrival.
    k_rows: stream.Interface
    #: Queries, `q_row`, in the order of the slots of the commands; always taken.
    q_rows: stream.Interface
    #: Exact scores, `score_row`, R per cycle.
    o: stream.Interface
    #: Pulse: a half of the K SRAM is full.
    filled: Signal
    #: Which half.
    filled_half: Signal
    #: A command waits or runs, or scores are in the pipe.
    busy: Signal
    #: K or Q rows are wanted and missing.
    stall: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)),
            "cmd": In(stream.Signature(qk_command(c))),
            "k_rows": In(stream.Signature(operand_row(c))),
            "q_rows": In(stream.Signature(q_row(c))),
            "o": Out(stream.Signature(score_row(c))),
            "filled": Out(1),
            "filled_half": Out(1),
            "busy": Out(1),
            "stall": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.issue = issue = RowIssue(c)
        m.submodules.keys = keys = KeyBuffer(c)
        m.submodules.queries = queries = Memory(shape=unsigned(c.max_dim * c.operand_bits), depth=c.slots,
                                                init=[])
        m.submodules.array = array = ScoreArray(c)
        q_write = queries.write_port()
        q_read = queries.read_port(transparent_for=())
        wiring.connect(m, wiring.flipped(self.cmd), issue.cmd)
        wiring.connect(m, wiring.flipped(self.k_rows), keys.rows)

        m.submodules.out = out = SpareBuffer(score_row(c))
        wiring.connect(m, out.o, wiring.flipped(self.o))
        job = local_copy(m, self.job, "job_here")
        en = Signal()
        take = Signal()
        k_there = Signal()
        now = issue.o.p
        m.d.comb += [
            en.eq(out.i.ready),
            issue.job.eq(job),
            issue.q_arrived.eq(self.q_rows.valid),
            self.q_rows.ready.eq(1),
            q_write.addr.eq(self.q_rows.p.slot),
            q_write.data.eq(self.q_rows.p.row),
            q_write.en.eq(self.q_rows.valid),
            self.filled.eq(keys.filled),
            self.filled_half.eq(keys.filled_half),

            k_there.eq(~now.stream | keys.stream.valid),
            issue.o.ready.eq(en & k_there),
            take.eq(issue.o.valid & issue.o.ready),
            keys.stream.ready.eq(issue.o.valid & en & now.stream & now.spent),
            keys.read_en.eq(take & ~now.stream),
            keys.read_addr[0].eq(Cat(now.row[:row_bits(c)], now.half)),
            q_read.addr.eq(now.slot),
            q_read.en.eq(take),
        ]

        # In the stage of the memories' output registers: the row from the stream, and whether it is the one used.
        streamed = Signal.like(keys.read_data, reset_less=True)
        from_stream = Signal()
        with m.If(take):
            m.d.sync += from_stream.eq(now.stream)
            with m.If(now.stream):
                m.d.sync += streamed.eq(keys.stream.p.slices)
        m.d.comb += [
            array.en.eq(en),
            array.dim_log2.eq(job.dim_log2),
            array.k.eq(Mux(from_stream, streamed.as_value(), keys.read_data.as_value())),
            array.q.eq(q_read.data),
        ]

        depth = 1 + score_array_latency(c)
        valid = Signal(depth)
        about = [Signal(issue_layout(c), name=f"about{i}", reset_less=True) for i in range(depth)]
        with m.If(en):
            m.d.sync += valid.eq(Cat(take, valid[:-1]))
            m.d.sync += [b.eq(a) for a, b in zip([now, *about[:-1]], about, strict=True)]
        done = about[-1]
        m.d.comb += [
            out.i.valid.eq(valid[-1]),
            out.i.p.scores.eq(array.scores),
            out.i.p.count.eq(done.count),
            out.i.p.last.eq(done.last),
            out.i.p.row.eq(done.row),
            out.i.p.slot.eq(done.slot),
            out.i.p.replay.eq(done.replay),
            self.busy.eq(issue.o.valid | self.cmd.valid | valid.any() | self.o.valid),
            self.stall.eq((issue.o.valid & en & ~k_there) | issue.starved),
        ]
        contract(m, now.count == keys.stream.p.count, "as many K rows come as keys are scored", when=take & now.stream)
        if contracts_on():
            dim_before = Signal.like(job.dim_log2)
            m.d.sync += dim_before.eq(job.dim_log2)
            contract(m, job.dim_log2 == dim_before, "D holds still while scores are in the pipe", when=valid.any())
        return m
