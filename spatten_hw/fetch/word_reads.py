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

    A command becomes reads of at most `word_beats` beats, the first from the middle of a beat where its address is
    there. One read is outstanding at a time, and only while there is room for all its beats: so `beats` is always
    ready, and rows of the channel behind them do not wait. Commands of both clients are read in the order in which they
    were granted (round robin): a client that does not take its words holds up the other. One word per cycle.
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
        # A beat (two, if a word takes two) as it came, the places of its first and last word that were asked for;
        # `last`: they are the command's.
        index_bits = clog2(max(1, c.axi_data_bits // WORD_BITS))     # of a word in its beat
        stored = data.StructLayout({
            "data": max(WORD_BITS, c.axi_data_bits), "error": 1, "first": index_bits, "latest": index_bits, "last": 1,
            "client": clog2(CLIENTS)})
        most_stored = c.read_words >> index_bits
        m.submodules.queue = queue = never_full(stored, 2 * most_stored - 1)
        client = Signal(clog2(CLIENTS))
        addr = Signal(c.axi_addr_bits - 3, reset_less=True)          # of the next word, in words
        channel = Signal(clog2(c.channels), reset_less=True)
        left = Signal(len(self.cmd[0].payload.words), reset_less=True)    # words still to come
        due = Signal(range(c.read_words + 1), reset_less=True)       # … of the read
        most = Signal(range(c.read_words + 1))
        count = Signal(range(c.read_words + 1))
        here = Signal(range((1 << index_bits) + 1))                  # … of the beat
        room = Signal()
        reading = Signal()
        entry = queue.i.payload
        place = addr[:index_bits]
        m.d.sync += room.eq(queue.level < most_stored)
        rest = Signal.like(here)
        m.d.comb += [
            self.wants.eq(0), most.eq(c.read_words - place), count.eq(Mux(left < most, narrow(left, len(most)), most)),
            rest.eq((1 << index_bits) - place), here.eq(Mux(due < rest, narrow(due, len(rest)), rest)),
            entry.client.eq(client), entry.last.eq(left == here), entry.first.eq(place),
            entry.latest.eq(narrow(place + here - 1, index_bits)),
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
            with m.State("ROOM"):                       # `room` knows of all beats of the read before
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
                    m.d.sync += [addr.eq(wrap(addr + here, len(addr))), left.eq(left - here), due.eq(due - here)]
                    with m.If(entry.last):
                        m.next = "FREE"
                    with m.Elif(due == here):
                        m.next = "SETTLE"
            with m.State("SETTLE"):                     # its last beat is in the queue's level
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

        self._store(m, entry, queue.i.valid)
        always_taken(m, queue.i, "beats of words")
        always_taken(m, self.beats, "beats of words")
        contract(m, reading, "beats of words come only when asked for", when=self.beats.valid)
        m.d.comb += [self.beats.ready.eq(1), self.idle.eq(
            states.ongoing("FREE") & (queue.level == 0) & ~self.cmd[0].valid & ~self.cmd[1].valid)]
        m.d.sync += [self.waits[k].eq(reading & (client == k)) for k in range(CLIENTS)]
        self._words(m, queue)
        return m

    def _store(self, m: Module, entry, valid: Signal) -> None:
        """What a beat brings into the queue."""
        beat = self.beats
        if self.config.axi_data_bits >= WORD_BITS:
            m.d.comb += [valid.eq(beat.valid), entry.data.eq(beat.payload.data), entry.error.eq(beat.payload.error)]
            return
        half = Signal(beat.payload.shape(), reset_less=True)         # two beats make a word
        second = Signal()
        with m.If(beat.valid):
            m.d.sync += [second.eq(~second), half.eq(beat.payload)]
        m.d.comb += [valid.eq(beat.valid & second), entry.data.eq(Cat(half.data, beat.payload.data)),
                     entry.error.eq(half.error | beat.payload.error)]

    def _words(self, m: Module, queue) -> None:
        """The words of the first beat in the queue, one after the other."""
        entry = queue.o.payload
        begun = Signal()
        next_place = Signal(len(entry.first), reset_less=True)
        place = Mux(begun, next_place, entry.first)
        taken = Signal()
        ends_beat = Signal()
        m.d.comb += [
            taken.eq(queue.o.valid & Mux(entry.client, self.words[1].ready, self.words[0].ready)),
            ends_beat.eq(place == entry.latest), queue.o.ready.eq(taken & ends_beat),
        ]
        with m.If(taken):
            m.d.sync += [begun.eq(~ends_beat), next_place.eq(wrap(place + 1, len(next_place)))]
        for k, words in enumerate(self.words):
            word = words.payload
            m.d.comb += [
                word.data.eq(entry.data.word_select(place, WORD_BITS) if len(entry.first) else entry.data),
                word.error.eq(entry.error), word.last.eq(entry.last & ends_beat),
                words.valid.eq(queue.o.valid & (entry.client == k)),
            ]
            m.d.sync += self.error[k].eq(words.valid & words.ready & word.error)
