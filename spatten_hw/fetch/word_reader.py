"""Reads 64-bit words for two clients (descriptors; survivor and score state) through one requester."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.read_crossbar import request_layout, response_banks, response_layout
from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..stream.arbiter import RoundRobin
from ..stream.layouts import aux_command, aux_word
from .read_port import ReadPort

CLIENTS = 2
WORD_BITS = 64


class WordReader(wiring.Component):
    """`cmd` (array of 2 `aux_command`) → `words` (array of 2 `aux_word`): each client's words in order, `last` on a
    command's final one.

    Commands of both clients are read in the order they were granted (round robin), so a client that does not take
    its words holds up the other. One word per cycle; beats of less than 64 bits: one word per two beats.
    `error`: a word with an AXI error left for that client in the cycle before. `beats`: requested (registered).
    `waits`: that client's word is the next one, and memory has not given it yet (a cycle late).
    """

    cmd: list[stream.Interface]
    words: list[stream.Interface]
    req: stream.Interface
    rsp: list[stream.Interface]

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "cmd": In(stream.Signature(aux_command(c))).array(CLIENTS),
            "words": Out(stream.Signature(aux_word())).array(CLIENTS),
            "req": Out(stream.Signature(request_layout(c))),
            "rsp": In(stream.Signature(response_layout(c))).array(response_banks(c)),
            "error": Out(CLIENTS), "beats": Out(c.granule_beats.bit_length()), "idle": Out(1),
            "waits": Out(CLIENTS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        bytes_bits = c.count_bits + 1 + 3
        index_bits = clog2(max(1, c.axi_data_bits // WORD_BITS))     # of a word in its beat
        user = data.StructLayout({"client": clog2(CLIENTS), "stop": unsigned(index_bits)})
        m.submodules.read_port = port = ReadPort(c, c.interleave_bytes, user.size, bytes_bits)
        m.submodules.arbiter = arbiter = RoundRobin(CLIENTS)
        connect(m, port.req, flipped(self.req))
        for bank, answers in enumerate(self.rsp):
            connect(m, flipped(answers), port.rsp[bank])

        # A register between the arbiter, whose choice may change, and the port. It takes a command every other cycle at
        # most, which keeps the port's arithmetic out of the clients' `ready`.
        asked = Signal(port.i.payload.shape())
        asked_valid = Signal()
        free = Signal()
        m.d.comb += [
            free.eq(~asked_valid), arbiter.advance.eq(free),
            port.i.valid.eq(asked_valid), port.i.payload.eq(asked),
        ]
        for k, cmd in enumerate(self.cmd):
            m.d.comb += [arbiter.requests[k].eq(cmd.valid), cmd.ready.eq(arbiter.grant[k] & free)]
        with m.If(free):
            chosen = Mux(arbiter.grant[1], self.cmd[1].payload.as_value(), self.cmd[0].payload.as_value())
            command = aux_command(c)(chosen)
            m.d.sync += [
                asked_valid.eq(arbiter.any), asked.addr.eq(command.addr),
                asked.bytes.eq(Cat(Const(0, 3), command.words)),
                asked.user.eq(Cat(arbiter.index, (command.addr[3:] + command.words - 1)[:index_bits])),
            ]
        with m.Elif(port.i.ready):
            m.d.sync += asked_valid.eq(0)

        word = Signal(aux_word())
        word_valid = Signal()
        word_taken = Signal()
        client = Signal(clog2(CLIENTS))
        answered = user(port.o.payload.user)
        m.d.comb += client.eq(answered.client)
        if index_bits:
            self._cut_beats(m, port.o, answered.stop, word, word_valid, word_taken)
        elif c.axi_data_bits == WORD_BITS:
            p = port.o.payload
            m.d.comb += [
                word.data.eq(p.data), word.last.eq(p.last), word.error.eq(p.error), word_valid.eq(port.o.valid),
                port.o.ready.eq(word_taken),
            ]
        else:
            self._join_beats(m, port.o, word, word_valid, word_taken)
        for k, out in enumerate(self.words):
            m.d.comb += [out.payload.eq(word), out.valid.eq(word_valid & (client == k))]
        waits_for = Signal(clog2(CLIENTS))
        m.d.sync += waits_for.eq(user(port.waits_user).client)
        m.d.comb += self.waits.eq(Cat(port.waits & (waits_for == k) for k in range(CLIENTS)))
        m.d.comb += word_taken.eq(word_valid & Mux(client, self.words[1].ready, self.words[0].ready))
        m.d.sync += [
            self.error.eq(Cat(word_taken & word.error & (client == k) for k in range(CLIENTS))),
            self.beats.eq(port.beats),
            self.idle.eq(port.idle & ~asked_valid & ~self.cmd[0].valid & ~self.cmd[1].valid),
        ]
        contract(m, (command.words != 0) & (command.addr[:3] == 0), "whole words are asked for, at least one",
                 when=free & arbiter.any)
        return m

    def _cut_beats(self, m: Module, beat: stream.Interface, end, word, valid: Signal, taken: Signal) -> None:
        """Beats hold several words; `end` is the place of a command's final one in its last beat."""
        per_beat = self.config.axi_data_bits // WORD_BITS
        p = beat.payload
        index_bits = clog2(per_beat)
        later = Signal(index_bits)       # word of the beat, once its first one is out
        begun = Signal()                # … is out
        index = Signal(index_bits)
        beat_done = Signal()
        m.d.comb += [
            index.eq(Mux(begun, later, Mux(p.first, p.offset[3:], 0))),
            beat_done.eq(Mux(p.last, index == end, index == per_beat - 1)),
            word.data.eq(p.data.word_select(index, WORD_BITS)), word.error.eq(p.error),
            word.last.eq(p.last & beat_done), valid.eq(beat.valid), beat.ready.eq(taken & beat_done),
        ]
        with m.If(taken):
            m.d.sync += [begun.eq(~beat_done), later.eq(index + 1)]

    def _join_beats(self, m: Module, beat: stream.Interface, word, valid: Signal, taken: Signal) -> None:
        """Two 32-bit beats make a word."""
        p = beat.payload
        low = Signal(WORD_BITS // 2)
        low_error = Signal()
        second = Signal()
        m.d.comb += [
            word.data.eq(Cat(low, p.data)), word.error.eq(p.error | low_error), word.last.eq(p.last),
            valid.eq(beat.valid & second), beat.ready.eq(~second | taken),
        ]
        with m.If(beat.valid & beat.ready):
            m.d.sync += [second.eq(~second), low.eq(p.data), low_error.eq(p.error)]
