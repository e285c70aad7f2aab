"""Reads 64-bit words for two clients (descriptors; survivor and score state), a few beats at a time."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.pipeline import delay
from ..primitives.widths import narrow, resize, wrap
from ..stream.arbiter import RoundRobin
from ..stream.fifo import never_full
from ..stream.read_layouts import ReadKind, aux_command, aux_word
from .row_reads import shared_row

#: Descriptors, state.
CLIENTS = 2
WORD_BITS = 64


def word_beat(c: SpAttenConfig) -> data.StructLayout:
    """A beat as it came from memory."""
    return data.StructLayout({"data": unsigned(c.axi_data_bits), "error": 1})


class WordReads(wiring.Component):
    """`cmd` (2 `aux_command`) → `words` (2 `aux_word`): each client's words in order, `last` on a command's final one.

    A command becomes reads of at most `word_beats` beats, the first from the middle of a beat where its
    address is there. One read is outstanding at a time, and only while there is room for all its words: so `beats` is
    never blocked for longer than it takes to cut a beat into words, whatever the clients do. Commands of both clients
    are read in the order in which they were granted (round robin): a client that does not take its words holds up the
    other. One word per cycle within a read (beats of 32 bits: every other cycle).
    """

    #: Commands: of descriptors, of state.
    cmd: list[stream.Interface]
    #: Their words.
    words: list[stream.Interface]
    #: A read is to be made …
    wants: Signal
    #: … and is, now (only with `wants`).
    granted: Signal
    #: The read, in the cycle after.
    row: data.View
    #: Beats of reads of words.
    beats: stream.Interface
    #: A word with an AXI error left for that client in the cycle before.
    error: Signal
    #: That client's read is outstanding.
    waits: Signal
    #: Nothing to be done.
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "cmd": In(stream.Signature(aux_command(c))).array(CLIENTS),
            "words": Out(stream.Signature(aux_word())).array(CLIENTS),
            "wants": Out(1), "granted": In(1), "row": Out(shared_row(c)),
            "beats": In(stream.Signature(word_beat(c))),
            "error": Out(CLIENTS), "waits": Out(CLIENTS), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.arbiter = arbiter = RoundRobin(CLIENTS)
        m.submodules.queue = queue = never_full(data.StructLayout({"word": aux_word(), "client": clog2(CLIENTS)}),
                                                2 * c.read_words - 1)
        index_bits = clog2(max(1, c.axi_data_bits // WORD_BITS))     # of a word in its beat
        client = Signal(clog2(CLIENTS))
        addr = Signal(c.axi_addr_bits - 3, reset_less=True)          # of the next word, in words
        channel = Signal(clog2(c.channels), reset_less=True)
        left = Signal(len(self.cmd[0].payload.words), reset_less=True)    # words still to come
        due = Signal(range(c.read_words + 1), reset_less=True)         # … of the read
        most = Signal(range(c.read_words + 1))
        count = Signal(range(c.read_words + 1))
        room = Signal()
        reading = Signal()
        word = queue.i.payload.word
        place = addr[:index_bits]
        m.d.sync += room.eq(queue.level < c.read_words)
        m.d.comb += [
            self.wants.eq(0), most.eq(c.read_words - place), count.eq(Mux(left < most, narrow(left, len(most)), most)),
            queue.i.payload.client.eq(client), word.last.eq(left == 1),
        ]
        with m.FSM(name="words") as states:
            with m.State("FREE"):
                m.d.comb += arbiter.advance.eq(1)
                for k, cmd in enumerate(self.cmd):
                    m.d.comb += [arbiter.requests[k].eq(cmd.valid), cmd.ready.eq(arbiter.grant[k])]
                command = aux_command(c)(Mux(arbiter.grant[1], *(self.cmd[k].payload.as_value() for k in (1, 0))))
                m.d.sync += [
                    client.eq(arbiter.index), addr.eq(command.addr[3:c.axi_addr_bits]),
                    channel.eq(command.addr[c.axi_addr_bits:]), left.eq(command.words),
                ]
                contract(m, (command.words != 0) & (command.addr[:3] == 0), "whole words are asked for, at least one",
                         when=arbiter.any)
                with m.If(arbiter.any):
                    m.next = "ROOM"
            with m.State("ROOM"):                       # `room` knows of all words of the read before
                m.d.sync += due.eq(count)
                with m.If(room):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.wants.eq(1)
                with m.If(self.granted):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += reading.eq(1)
                with m.If(queue.i.valid):
                    m.d.sync += [addr.eq(wrap(addr + 1, len(addr))), left.eq(left - 1), due.eq(due - 1)]
                    with m.If(left == 1):
                        m.next = "FREE"
                    with m.Elif(due == 1):
                        m.next = "SETTLE"
            with m.State("SETTLE"):                     # its last word is in the queue's level
                m.next = "ROOM"

        # The read: whole beats from the one that holds the first word.
        low = 3 + index_bits
        if c.axi_data_bits < WORD_BITS:
            beats = Cat(Const(0, 1), due)
        else:
            beats = (resize(place, unsigned(len(place) + 1)) + due + ((1 << index_bits) - 1))[index_bits:]
        m.d.comb += [
            self.row.addr.eq(Cat(Const(0, low), delay(m, addr[index_bits:], 1, "asked_addr"))),
            self.row.beats.eq(delay(m, narrow(beats, c.beats_bits), 1, "asked_beats")),
            self.row.token.eq(delay(m, channel, 1, "asked_channel")), self.row.note.kind.eq(ReadKind.WORDS),
        ]

        taken = self._cut(m, place, due == 1, word, queue.i.valid, reading)
        m.d.comb += self.beats.ready.eq(taken)
        always_taken(m, queue.i, "words")
        out = queue.o.payload
        for k, words in enumerate(self.words):
            m.d.comb += [words.payload.eq(out.word), words.valid.eq(queue.o.valid & (out.client == k))]
            m.d.sync += [
                self.error[k].eq(words.valid & words.ready & out.word.error), self.waits[k].eq(reading & (client == k)),
            ]
        m.d.comb += [
            queue.o.ready.eq(Mux(out.client, self.words[1].ready, self.words[0].ready)),
            self.idle.eq(states.ongoing("FREE") & (queue.level == 0) & ~self.cmd[0].valid & ~self.cmd[1].valid),
        ]
        contract(m, reading, "beats of words come only when asked for", when=self.beats.valid)
        return m

    def _cut(self, m: Module, place, final, word, valid: Signal, reading: Signal):
        """Words out of the beats: `word` is there with `valid`, word `place` of a beat, `final` of its read. Returns
        whether a beat is taken."""
        c = self.config
        beat = self.beats
        here = beat.valid & reading
        if c.axi_data_bits < WORD_BITS:                  # two beats make a word
            half = Signal(beat.payload.shape(), reset_less=True)
            second = Signal()
            with m.If(here):
                m.d.sync += [second.eq(~second), half.eq(beat.payload)]
            m.d.comb += [
                valid.eq(here & second), word.data.eq(Cat(half.data, beat.payload.data)),
                word.error.eq(half.error | beat.payload.error),
            ]
            return reading
        m.d.comb += [
            valid.eq(here), word.error.eq(beat.payload.error),
            word.data.eq(beat.payload.data.word_select(place, WORD_BITS) if len(place) else beat.payload.data),
        ]
        return reading & (final | place.all() if len(place) else Const(1, 1))
