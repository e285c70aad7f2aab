"""The accelerator: every block of the paper's Figure 8, joined by streams.

`Accelerator` has AXI channels as streams; `spatten_hw.top.Top` gives the same thing flat vendor-style ports.
"""

from __future__ import annotations

from amaranth import Elaboratable, Module, ResetInserter, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bus.axi import ar_layout, aw_layout, b_layout, r_layout, w_layout
from .config import SpAttenConfig
from .contract import contracts_on, stream_contract
from .control.axil import axil_signature
from .control.unit_activity import connect_activity, connect_events
from .interface.registers import COUNTERS
from .probe import connect_probe, probe_layout
from .shared import Shared, own_reset
from .stream.fork import StreamFork
from .stream.layouts import acc_chunk, prob_row
from .stream.skid import HalfBuffer, connect_cut
from .units import FRONT, UNITS


class Accelerator(wiring.Component):
    """AXI4-Lite control slave `axil`, C AXI4 memory masters (`ar`, `r`, `aw`, `w`, `b`), level interrupt `irq`.

    Rates and latencies are those of the blocks (docs/architecture.md). Where the `ready` of a block depends
    combinationally on that of the next one, a skid buffer (one cycle) joins them: otherwise the writer's back-pressure
    would have to reach the V fetcher, four blocks back, in the same cycle. `probe`: for simulation, an output `probe`
    (`spatten_hw/probe.py`) shows the streams between the blocks.
    """

    #: Control slave, AXI4-Lite.
    axil: wiring.PureInterface
    #: Read addresses, one per memory port.
    ar: list[stream.Interface]
    #: Read data.
    r: list[stream.Interface]
    #: Write addresses.
    aw: list[stream.Interface]
    #: Write data.
    w: list[stream.Interface]
    #: Write responses.
    b: list[stream.Interface]
    #: Interrupt, level.
    irq: Signal

    def __init__(self, config: SpAttenConfig, *, probe: bool = False):
        self.config = c = config
        self.probed = probe
        n = c.channels
        super().__init__({
            "axil": In(axil_signature()),
            "ar": Out(stream.Signature(ar_layout(c))).array(n),
            "r": In(stream.Signature(r_layout(c))).array(n),
            "aw": Out(stream.Signature(aw_layout(c))).array(n),
            "w": Out(stream.Signature(w_layout(c))).array(n),
            "b": In(stream.Signature(b_layout(c))).array(n),
            "irq": Out(1),
            **({"probe": Out(probe_layout(c))} if probe else {}),
        })

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        c = self.config

        # Each block is a Verilog module of its own, under its own name, and its reset comes a cycle late. The logic
        # between the blocks is reset in both cycles (`ResetInserter` at the end), or it would store what blocks output
        # in the first one. While `quiet`, nothing is offered outside and nothing is taken from the host. So one cycle
        # of reset leaves no state behind.
        later = own_reset(m, "accelerator")
        quiet = Signal()
        m.d.comb += quiet.eq(ResetSignal() | later)
        units = {unit.name: Shared(unit.load(), c, reset=own_reset(m, unit.name)) for unit in UNITS}
        for name, block in units.items():
            m.submodules[name] = block
        fetcher, score, softmax, topk = (units[n] for n in ("fetcher", "score", "softmax", "local_topk"))
        value, requantiser, writer, pruner = (units[n] for n in ("prob_value", "requantiser", "writer", "pruner"))
        seq, reader, scales, registers = (units[n] for n in ("sequencer", "job_reader", "scale_table", "registers"))
        m.submodules.prob_fork = prob_fork = StreamFork(prob_row(c), 2)

        # Control.
        self._connect_host(m, registers, quiet)
        connect(m, registers.push, reader.push)
        connect(m, reader.cmd, fetcher.desc_cmd)
        connect_cut(m, "desc_words", fetcher.desc_words, reader.words)
        # No job starts after one has timed out.
        m.d.comb += [
            seq.jobs.payload.eq(reader.job.payload), seq.jobs.valid.eq(reader.job.valid & ~registers.timed_out),
            reader.job.ready.eq(seq.jobs.ready & ~registers.timed_out),
            # What the pruner may prepare for.
            pruner.next_job.eq(reader.job.payload.job), pruner.next_valid.eq(reader.job.valid),
        ]
        connect(m, seq.completion, registers.completion)
        m.d.comb += [
            reader.retire.eq(seq.retire),
            registers.busy.eq(seq.busy), registers.queue_level.eq(reader.level),
        ]
        self._connect_scales(m, reader, scales, seq, softmax, requantiser)

        # The running jobs: one up to the softmax, one after it.
        for unit in UNITS:
            if unit.job:
                m.d.comb += units[unit.name].job.eq(seq.job if unit.job == FRONT else seq.back_job)
        # The fetcher reads K and Q of the one and V of the other.
        m.d.comb += [fetcher.job.eq(seq.job), fetcher.back_job.eq(seq.back_job), fetcher.k_first.eq(~seq.items[0])]

        write_idle = Signal()        # nothing on the way to the writer or in it
        summed = Signal()            # no head sum on the way to the pruner

        # Sequencer → blocks, and what comes back.
        connect(m, seq.op, pruner.op)
        connect(m, pruner.done, seq.op_done)
        connect_cut(m, "k_walk", seq.k_walk, fetcher.k_walk)
        if c.decision_rules:
            walk = seq.k_walk
            m.d.comb += [
                softmax.replays.valid.eq(walk.valid & walk.ready & walk.payload.lsb & seq.job.lsb_by_key),
                softmax.replays.payload.slot.eq(walk.payload.slot),
                softmax.replays.payload.members.eq(walk.payload.members),
                softmax.far_row.eq(fetcher.far_row), fetcher.far_keys.eq(softmax.far_keys),
            ]
        connect_cut(m, "fill", seq.fill, fetcher.fill)
        connect_cut(m, "q_cmd", seq.q_cmd, fetcher.q_cmd)
        connect_cut(m, "score_cmd", seq.score_cmd, score.cmd)
        connect(m, fetcher.filled, seq.filled)
        connect(m, seq.meta, softmax.meta)
        connect_cut(m, "decided", softmax.decided, seq.decided)
        connect(m, softmax.free, seq.free)
        m.d.comb += [
            seq.alive_tokens.eq(pruner.alive_tokens), seq.heads_alive.eq(pruner.heads_alive),
            seq.walked.eq(fetcher.walked), seq.counts.eq(pruner.class_counts), fetcher.counts.eq(pruner.class_counts),
            score.slot_taken.eq(seq.slot_taken), score.slot.eq(seq.slot),
            value.values_ready.eq(seq.values_ready),
            seq.item_done.eq(requantiser.items),
            pruner.drained.eq(seq.drained & summed), seq.write_idle.eq(write_idle),
            seq.fetch_errors.eq(fetcher.errors), seq.write_errors.eq(writer.error),
            fetcher.front_clear.eq(seq.front_clear), fetcher.back_clear.eq(seq.back_clear),
            writer.clear.eq(seq.back_clear),
        ]

        # Survivors: lists by class (walks over K rows, walks over gangs), dense list (fills, queries).
        m.d.comb += [
            pruner.class_row[0].eq(fetcher.k_list_row), fetcher.k_list_indexes.eq(pruner.class_indexes[0]),
            pruner.class_row[1].eq(value.list_row), value.list_indexes.eq(pruner.class_indexes[1]),
            pruner.dense_row[0].eq(fetcher.fill_list_row), fetcher.fill_list_ids.eq(pruner.dense_ids[0]),
            pruner.dense_row[1].eq(seq.list_row), seq.list_ids.eq(pruner.dense_ids[1]),
        ]

        # Data, left to right.
        for s in range(c.slices):
            connect(m, fetcher.k_chunks[s], score.k_chunks[s])
            connect(m, fetcher.v_chunks[s], value.v_chunks[s])
            connect(m, fetcher.k_shared[s], score.shared[s])
            connect(m, fetcher.v_shared[s], value.shared[s])
            connect(m, value.reads[s], fetcher.v_reads[s])
            connect(m, score.o[s], softmax.i[s])
        m.d.comb += [
            prob_fork.i.payload.eq(softmax.o.payload), prob_fork.i.valid.eq(softmax.o.valid & seq.open),
            softmax.o.ready.eq(prob_fork.i.ready & seq.open),
        ]
        connect(m, prob_fork.o0, pruner.probs)
        connect(m, prob_fork.o1, topk.probs)
        connect(m, topk.kept, value.kept)
        if c.decision_rules:
            connect(m, topk.ratio, requantiser.ratio)
        # The widest stream, but slow: the requantiser takes a chunk in four cycles at most, so half the rate is enough.
        m.submodules.value_sums = value_sums = HalfBuffer(acc_chunk(c))
        connect(m, value.o, value_sums.i)
        connect(m, value_sums.o, requantiser.i)
        beats = connect_cut(m, "beats", requantiser.o, writer.rows)
        sums = connect_cut(m, "sums", requantiser.head_sums, pruner.head_sums)
        state = connect_cut(m, "state", pruner.state, writer.state)
        m.d.comb += [write_idle.eq(writer.idle & ~requantiser.o.valid & ~beats.o.valid & ~state.o.valid),
                     summed.eq(~requantiser.head_sums.valid & ~sums.o.valid)]
        connect_cut(m, "state_cmd", pruner.state_cmd, fetcher.state_cmd)
        connect_cut(m, "state_words", fetcher.state_words, pruner.state_words)
        # Counted a cycle late, which keeps the blocks' handshakes off the path of the sequencer's adders.
        m.d.sync += [
            seq.listed.eq(value.walked), seq.value_done.eq(value.freed.valid),
            seq.value_done_half.eq(value.freed_half), seq.value_done_first.eq(value.freed.item),
            seq.value_done_gang.eq(value.freed.gang),
        ]

        # Memory. AXI forbids requests from the first cycle of a reset on.
        for i in range(c.channels):
            for name, block in (("ar", fetcher), ("aw", writer), ("w", writer)):
                inner, outer = getattr(block, name)[i], getattr(self, name)[i]
                m.d.comb += [
                    outer.valid.eq(inner.valid & ~quiet), outer.payload.eq(inner.payload),
                    inner.ready.eq(outer.ready),
                ]
            connect(m, flipped(self.r[i]), fetcher.r[i])
            connect(m, flipped(self.b[i]), writer.b[i])
        connect_events(m, units, write_idle)
        connect_activity(m, units)
        if self.probed or contracts_on():
            streams = {
                "jobs": reader.job, "completions": seq.completion, "prune": seq.op, "pruned": pruner.done,
                "state": pruner.state, "meta": seq.meta, "flat": softmax.decided, "free": softmax.free,
                "q_cmd": seq.q_cmd, "k_walk": seq.k_walk, "fill": seq.fill, "score_cmd": seq.score_cmd,
                "probs": softmax.o, "kept": topk.kept, "sums": value.o, "beats": requantiser.o,
                **{f"{name}{i}": getattr(self, name)[i] for name in ("ar", "r", "w") for i in range(c.channels)},
            }
            for name, port in streams.items():
                stream_contract(m, port, name)
        if self.probed:
            levels = {n.name: registers.events[n.name] for n in COUNTERS if n.unit == "cycles" and n.name != "cycles"}
            connect_probe(m, c, self.probe, streams, {"running": seq.busy, "queued": reader.level != 0} | levels)
        return ResetInserter(later)(m)

    def _connect_host(self, m: Module, registers: Shared, quiet: Signal) -> None:
        """The control port and the interrupt, both silent while `quiet`: a request in a reset waits until it ends."""
        outer, inner = self.axil, registers.axil
        for name, member in axil_signature().members.items():
            port, block = getattr(outer, name), getattr(inner, name)
            if member.flow is Out:      # the master's
                m.d.comb += block.eq(port & ~quiet if name.endswith("valid") else port)
            else:
                m.d.comb += port.eq(block & ~quiet if name.endswith(("valid", "ready")) else block)
        # A register at the boundary, because the interrupt's path outside is unknown.
        m.d.sync += self.irq.eq(registers.irq)

    def _connect_scales(self, m: Module, reader, scales, seq, softmax, requantiser) -> None:
        m.d.comb += [
            scales.write_en.eq(reader.scale_en), scales.write_set.eq(reader.scale_set),
            scales.write_head.eq(reader.scale_head), scales.write_entry.eq(reader.scale_entry),
            scales.softmax_set.eq(seq.scales), scales.softmax_head.eq(softmax.scale_head),
            softmax.scale.eq(scales.softmax),
            scales.out_set.eq(seq.back_scales), scales.out_head.eq(requantiser.scale_head),
            requantiser.scale.eq(scales.out),
        ]
