"""The accelerator: every block of the paper's Figure 8, joined by streams.

`Accelerator` has AXI channels as streams; `spatten_hw.top.Top` gives the same thing flat vendor-style ports.
"""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import Cat, Elaboratable, Module, Mux, ResetInserter, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bus.axi import ar_layout, aw_layout, b_layout, r_layout, w_layout
from .config import SpAttenConfig
from .contract import contracts_on, stream_contract
from .control.activity_word import activity_word
from .control.csr import axil_signature
from .interface.activity import BackState, FrontState
from .interface.registers import COUNTERS
from .probe import connect_probe, probe_layout
from .shared import Shared, own_reset
from .stream.fork import StreamFork
from .stream.layouts import kept_row, prob_row, tag_layout
from .stream.skid import connect_cut
from .units import ACTIVE, FRONT, UNITS


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
        m.submodules.kept_fork = kept_fork = StreamFork(kept_row(c), 2)

        # Control.
        self._connect_host(m, registers, quiet)
        connect(m, registers.push, reader.push)
        connect(m, reader.cmd, fetcher.desc_cmd)
        connect_cut(m, "desc_words", fetcher.desc_words, reader.words)
        # No job starts after one has timed out.
        m.d.comb += [
            seq.jobs.payload.eq(reader.job.payload), seq.jobs.valid.eq(reader.job.valid & ~registers.timed_out),
            reader.job.ready.eq(seq.jobs.ready & ~registers.timed_out),
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
        m.d.comb += [fetcher.job.eq(seq.job), fetcher.back_job.eq(seq.back_job), fetcher.same.eq(seq.same)]

        write_idle = Signal()        # nothing on the way to the writer or in it
        summed = Signal()            # no head sum on the way to the pruner

        # Sequencer → blocks, and what comes back.
        connect(m, seq.op, pruner.op)
        connect(m, pruner.done, seq.op_done)
        connect(m, seq.k_cmd, fetcher.k_cmd)
        connect(m, seq.v_cmd, fetcher.v_cmd)
        connect_cut(m, "q_cmd", seq.q_cmd, fetcher.q_cmd)
        connect_cut(m, "qk_cmd", seq.qk_cmd, score.cmd)
        connect(m, seq.meta, softmax.meta)
        connect_cut(m, "flat", softmax.flat, seq.flat)
        connect(m, softmax.free, seq.free)
        m.d.comb += [
            seq.alive_tokens.eq(pruner.alive_tokens), seq.heads_alive.eq(pruner.heads_alive),
            seq.k_filled.eq(score.filled), seq.k_filled_half.eq(score.filled_half),
            seq.v_filled.eq(value.filled), seq.v_filled_half.eq(value.filled_half),
            seq.item_done.eq(requantiser.items),
            pruner.drained.eq(seq.drained & summed), seq.write_idle.eq(write_idle),
            seq.fetch_errors.eq(fetcher.errors), seq.write_errors.eq(writer.error),
            fetcher.front_clear.eq(seq.front_clear), fetcher.back_clear.eq(seq.back_clear),
            writer.clear.eq(seq.back_clear),
        ]

        # Survivor list, four readers.
        m.d.comb += [
            pruner.k_list_row.eq(fetcher.k_list_row), fetcher.k_list_ids.eq(pruner.k_list_ids),
            pruner.v_list_row.eq(fetcher.v_list_row), fetcher.v_list_ids.eq(pruner.v_list_ids),
            pruner.q_list_row.eq(seq.list_row), seq.list_ids.eq(pruner.q_list_ids),
            pruner.p_list_row.eq(topk.list_row), topk.list_ids.eq(pruner.p_list_ids),
        ]

        # Data, left to right.
        connect(m, fetcher.k_rows, score.k_rows)
        connect(m, fetcher.q_rows, score.q_rows)
        connect(m, score.o, softmax.i)
        m.d.comb += [
            prob_fork.i.payload.eq(softmax.o.payload), prob_fork.i.valid.eq(softmax.o.valid & seq.open),
            softmax.o.ready.eq(prob_fork.i.ready & seq.open),
        ]
        connect(m, prob_fork.o0, pruner.probs)
        connect(m, prob_fork.o1, topk.probs)
        connect(m, topk.kept, kept_fork.i)
        connect(m, kept_fork.o0, value.kept)
        self._connect_kept_ids(m, kept_fork.o1, fetcher.v_kept)
        connect(m, fetcher.v_rows, value.v_rows)
        connect(m, value.o, requantiser.i)
        beats = connect_cut(m, "beats", requantiser.o, writer.rows)
        sums = connect_cut(m, "sums", requantiser.head_sums, pruner.head_sums)
        state = connect_cut(m, "state", pruner.state, writer.state)
        m.d.comb += [write_idle.eq(writer.idle & ~requantiser.o.valid & ~beats.o.valid & ~state.o.valid),
                     summed.eq(~requantiser.head_sums.valid & ~sums.o.valid)]
        connect_cut(m, "state_cmd", pruner.state_cmd, fetcher.state_cmd)
        connect_cut(m, "state_words", fetcher.state_words, pruner.state_words)
        # Counted a cycle late, which keeps the blocks' handshakes off the path of the sequencer's adders.
        m.d.sync += [
            seq.listed.eq(topk.listed),
            seq.value_done.eq(value.o.valid & value.o.ready),
            seq.value_done_half.eq(value.o.payload.tag.half),
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
        self._connect_events(m, units, write_idle)
        self._connect_activity(m, units)
        if self.probed or contracts_on():
            streams = {
                "jobs": reader.job, "completions": seq.completion, "prune": seq.op, "pruned": pruner.done,
                "state": pruner.state, "meta": seq.meta, "flat": softmax.flat, "free": softmax.free,
                "q_cmd": seq.q_cmd, "k_cmd": seq.k_cmd, "v_cmd": seq.v_cmd, "qk_cmd": seq.qk_cmd,
                "q_rows": fetcher.q_rows, "k_rows": fetcher.k_rows, "v_rows": fetcher.v_rows, "scores": score.o,
                "probs": softmax.o, "kept": topk.kept, "v_kept": fetcher.v_kept, "sums": value.o,
                "beats": requantiser.o,
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

    def _connect_kept_ids(self, m: Module, source: stream.Interface, sink: stream.Interface) -> None:
        """Only rows of vectors whose V rows are streamed go to the fetcher; the others end here."""
        tag = tag_layout(self.config)(source.payload.tag)
        m.d.comb += [
            sink.payload.eq(source.payload),
            sink.valid.eq(source.valid & tag.stream_v),
            source.ready.eq(sink.ready | ~tag.stream_v),
        ]

    def _connect_scales(self, m: Module, reader, scales, seq, softmax, requantiser) -> None:
        m.d.comb += [
            scales.write_en.eq(reader.scale_en), scales.write_set.eq(reader.scale_set),
            scales.write_head.eq(reader.scale_head), scales.write_entry.eq(reader.scale_entry),
            scales.softmax_set.eq(seq.scales), scales.softmax_head.eq(softmax.scale_head),
            softmax.scale.eq(scales.softmax),
            scales.out_set.eq(seq.back_scales), scales.out_head.eq(requantiser.scale_head),
            requantiser.scale.eq(scales.out),
        ]

    def _connect_events(self, m: Module, units: Mapping[str, Shared], write_idle: Signal) -> None:
        """The events of the counters, a cycle late, so that paths to the counters do not extend those of the blocks."""
        e = units["registers"].events
        seq, fetcher, writer, kept = units["sequencer"], units["fetcher"], units["writer"], units["local_topk"].kept
        kept_last = Signal()
        m.d.comb += kept_last.eq(kept.valid & kept.ready & kept.payload.last)
        # Reads count only while a job runs, as descriptors are read ahead; writes count from where they are produced.
        busy = {"fetch": fetcher.busy & seq.busy, "write": ~write_idle}
        for unit in UNITS:
            if unit.busy:
                source = busy[unit.event] if unit.event in busy else units[unit.name].busy
                m.d.sync += e[f"busy_{unit.event}"].eq(source)
            if unit.stall:
                m.d.sync += e[f"stall_{unit.event}"].eq(units[unit.name].stall)
        m.d.sync += [
            e.bytes_q.eq(fetcher.beats_q), e.bytes_k_msb.eq(fetcher.beats_k_msb),
            e.bytes_k_lsb.eq(fetcher.beats_k_lsb), e.bytes_v_msb.eq(fetcher.beats_v_msb),
            e.bytes_v_lsb.eq(fetcher.beats_v_lsb), e.bytes_out.eq(writer.beats_out),
            e.bytes_other.eq(fetcher.beats_other + writer.beats_state),
            e.queries.eq(seq.issued), e.refetches.eq(seq.replayed), e.topk_vectors.eq(kept_last),
        ]

    def _connect_activity(self, m: Module, units: Mapping[str, Shared]) -> None:
        """The units that have work, unanswered memory accesses, and the oldest job, for the limit of its cycles."""
        registers, seq, fetcher, writer = (units[n] for n in ("registers", "sequencer", "fetcher", "writer"))
        reader, e = units["job_reader"], registers.events
        # The events of the counters; but fetcher and job reader also show reads for jobs that do not run yet.
        active = Cat(units[unit.name].busy if unit.name in ("fetcher", "job_reader") else e[f"busy_{unit.event}"]
                     for unit in ACTIVE)
        in_front = seq.front_state != FrontState.IDLE
        in_back = seq.back_state != BackState.IDLE
        m.d.sync += [
            registers.activity.eq(activity_word(active, fetcher.waits, writer.waits, seq.front_state, seq.back_state,
                                                seq.items)),
            registers.tags.eq(Cat(seq.front_tag, seq.back_tag)),
            registers.working.eq(seq.busy | reader.busy),
            registers.oldest.eq(Mux(in_back, seq.back_tag, Mux(in_front, seq.front_tag, reader.tag))),
        ]
