"""Q×K: all slices (SpAtten, Figure 8, blocks 2 and 3)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig
from ..primitives.registers import local_copy
from ..shared import Shared
from ..stream.fork import StreamFork
from ..stream.job_layouts import job_layout
from ..stream.layouts import score_command, score_write
from ..stream.read_layouts import key_note, operand_chunk, shared_note
from ..stream.skid import SkidBuffer
from .score import ScoreSlice


class ScoreUnit(wiring.Component):
    """S `ScoreSlice`s, each with its own K rows and scores; queries, fills and commands go to all of them.

    `shared` and `slot_taken` reach the slices a cycle late. A command is taken when every slice has taken the one
    before.
    """

    #: The layer; constant while its data are inside.
    job: data.View
    #: Queries of prompts to score: `score_command`.
    cmd: stream.Interface
    #: Per slice, K rows of generation: `operand_chunk` of a `key_note`.
    k_chunks: list[stream.Interface]
    #: Per slice, queries and fills: `operand_chunk` of a `shared_note`; always taken.
    shared: list[stream.Interface]
    #: Pulse: `slot` was given to a new query.
    slot_taken: Signal
    #: That slot.
    slot: Signal
    #: Per slice, its scores, `score_write`; always taken.
    o: list[stream.Interface]
    #: A slice has work or scores.
    busy: Signal
    #: A slice has work but no query or K row for it.
    stall: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)),
            "cmd": In(stream.Signature(score_command(c))),
            "k_chunks": In(stream.Signature(operand_chunk(c, key_note(c)))).array(c.slices),
            "shared": In(stream.Signature(operand_chunk(c, shared_note(c)))).array(c.slices),
            "slot_taken": In(1), "slot": In(c.slot_bits),
            "o": Out(stream.Signature(score_write(c))).array(c.slices),
            "busy": Out(1), "stall": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        job = local_copy(m, self.job, "job_here")
        has_lsb = Signal()
        slot = Signal(c.slot_bits, reset_less=True)
        taken = Signal()
        m.d.sync += [
            has_lsb.eq(job.k_lsb != 0), slot.eq(self.slot), taken.eq(self.slot_taken),
        ]
        m.submodules.commands = commands = SkidBuffer(score_command(c))
        m.submodules.command_fork = fork = StreamFork(score_command(c), c.slices)
        connect(m, flipped(self.cmd), commands.i)
        connect(m, commands.o, fork.i)
        busy = Signal(c.slices)
        stall = Signal(c.slices)
        for s in range(c.slices):
            part = Shared(ScoreSlice, c)
            m.submodules[f"slice_{s}"] = part
            connect(m, fork.outputs[s], part.cmd)
            connect(m, flipped(self.k_chunks[s]), part.k_chunks)
            connect(m, flipped(self.shared[s]), part.shared)
            connect(m, part.o, flipped(self.o[s]))
            m.d.comb += [
                part.number.eq(Const(s, c.slice_bits)), part.chunks.eq(job.chunks), part.has_lsb.eq(has_lsb),
                part.slot_taken.valid.eq(taken), part.slot_taken.payload.slot.eq(slot),
                busy[s].eq(part.busy), stall[s].eq(part.stall),
            ]
        m.d.sync += [
            self.busy.eq(Cat(busy, self.cmd.valid, commands.o.valid).any()), self.stall.eq(stall.any()),
        ]
        return m
