"""Job reader: from the address of a descriptor to a checked job with its scales in the table."""

from __future__ import annotations

from amaranth import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig
from ..contract import at_most_one, contract
from ..interface.descriptor import HEADER_WORDS, SCALE_WORDS, scale_command_words
from ..interface.errors import ErrorCode
from ..interface.validate import descriptor_address_bad
from ..primitives.registers import payload_register
from ..primitives.widths import narrow
from ..stream.fifo import StreamFifo
from ..stream.job_layouts import job_layout, scale_layout
from ..stream.read_layouts import aux_command, aux_word
from .decode import decode, fields_layout, store_header, store_scale
from .scale_table import SET_BITS, SETS
from .validator import Validator


def push_layout(c: SpAttenConfig) -> data.StructLayout:
    """A job to run: address of its descriptor, and the tag its completion carries."""
    return data.StructLayout({"addr": unsigned(c.addr_bits), "tag": unsigned(16)})


def job_offer(c: SpAttenConfig) -> data.StructLayout:
    """A job as handed over: `scales` is its set in the scale table; `error` (ErrorCode) ≠ 0: must not run."""
    return data.StructLayout({
        "job": job_layout(c), "scales": unsigned(SET_BITS), "tag": unsigned(16), "error": unsigned(8),
    })


class JobReader(wiring.Component):
    """Queues `push`ed jobs, reads and checks the first one's descriptor, offers it as `job`.

    While a job is offered, the descriptor behind it is read: two trips to a busy memory take longer than a short job.
    Its scales go into a set of the scale table that no other job uses: a set is taken when its job is offered, and free
    again when `retire` pulses (once per job taken without error, when it has ended; in order). `cmd`, `words`: reads of
    64-bit words, answered in order. A job that breaks a rule, or whose descriptor was read with an error, is offered
    with that error (its scales not all written); a broken rule is known `VALIDATE_CYCLES` + 4 cycles after the header's
    last word.
    `busy`: a job is being read or offered, `tag` is the first one's tag.
    `level`: jobs pushed and not yet taken, 0 … job_queue + 2; `push` is refused (not ready) while
    job_queue jobs wait behind the one being read.
    """

    #: Jobs to read: address and tag; refused while `job_queue` wait.
    push: stream.Interface
    #: Words of descriptors to read: `aux_command`.
    cmd: stream.Interface
    #: These words, in order.
    words: stream.Interface
    #: The next job, checked: `job_offer`.
    job: stream.Interface
    #: Pulse: a job taken without error has ended; its set of scales is free.
    retire: Signal
    #: Jobs pushed and not yet taken, 0 … job_queue + 2.
    level: Signal
    #: A job is being read or offered.
    busy: Signal
    #: Its tag.
    tag: Signal
    #: An entry of the scale table is written.
    scale_en: Signal
    #: To this set.
    scale_set: Signal
    #: And this head.
    scale_head: Signal
    #: The entry.
    scale_entry: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "push": In(stream.Signature(push_layout(c))),
            "cmd": Out(stream.Signature(aux_command(c))),
            "words": In(stream.Signature(aux_word())),
            "job": Out(stream.Signature(job_offer(c))),
            "retire": In(1),
            "level": Out((c.job_queue + 2).bit_length()), "busy": Out(1), "tag": Out(16),
            "scale_en": Out(1), "scale_set": Out(SET_BITS), "scale_head": Out(c.head_bits),
            "scale_entry": Out(scale_layout()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.queue = queue = StreamFifo(push_layout(c), c.job_queue)
        m.submodules.validator = validator = Validator(c)
        connect(m, flipped(self.push), queue.i)

        addr = Signal(c.addr_bits)
        tag = Signal(16)
        error = Signal(8)
        fields = Signal(fields_layout(c), reset_less=True)
        busy = Signal()                     # a job is being read
        set_ = Signal(SET_BITS)             # of the table, for the job being read
        sets_used = Signal(range(SETS + 1))
        word = Signal(HEADER_WORDS)         # of the header, one-hot: the one read next
        m.d.comb += [
            validator.fields.eq(fields), validator.descriptor.eq(addr),
            self.level.eq(queue.level + busy + self.job.valid), self.busy.eq(busy | self.job.valid),
            self.tag.eq(Mux(self.job.valid, self.job.p.tag, tag)),
        ]
        # The job that is offered, and what takes its place.
        offered = payload_register(m, self.job.payload, "offered_job")
        read_job = Signal(job_offer(c))
        m.d.comb += [read_job.job.eq(decode(m, c, fields)), read_job.scales.eq(set_), read_job.tag.eq(tag),
                     read_job.error.eq(error)]
        leaves = Signal()

        # The scale words still to be read, in as few commands as the command's counter allows.
        longest = scale_command_words(c)
        head = Signal(c.head_bits)
        scale_addr = Signal(c.addr_bits)
        remaining = Signal(range(SCALE_WORDS * c.max_heads + 1))
        chunk = Signal.like(self.cmd.p.words)
        odd_word = Signal()
        m.d.comb += chunk.eq(narrow(Mux(remaining > longest, longest, remaining), len(chunk)))

        # A word is registered before it is decoded, and `ready` comes from a register: 64 bits from memory lead to a
        # thousand flip-flops here, so decoding must not lengthen that path.
        accept = Signal()
        taken = Signal()
        read = Signal(aux_word(), reset_less=True)
        m.d.comb += self.words.ready.eq(accept)
        m.d.sync += [taken.eq(accept & self.words.valid), read.eq(self.words.p)]
        with m.If(self.cmd.valid & self.cmd.ready):
            m.d.sync += accept.eq(1)
        with m.Elif(self.words.valid & self.words.p.last):
            m.d.sync += accept.eq(0)

        with m.FSM(name="read"):
            with m.State("IDLE"):
                m.d.comb += queue.o.ready.eq(1)
                m.d.sync += [addr.eq(queue.o.p.addr), tag.eq(queue.o.p.tag), error.eq(ErrorCode.OK), word.eq(1)]
                with m.If(queue.o.valid):
                    m.d.sync += busy.eq(1)
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                with m.If(descriptor_address_bad(c, addr)):
                    m.d.sync += error.eq(ErrorCode.DESCRIPTOR_ADDRESS)
                    m.next = "OFFER"
                with m.Else():
                    m.next = "ASK_HEADER"
            with m.State("ASK_HEADER"):
                m.d.comb += [self.cmd.valid.eq(1), self.cmd.p.addr.eq(addr), self.cmd.p.words.eq(HEADER_WORDS)]
                with m.If(self.cmd.ready):
                    m.next = "HEADER"
            with m.State("HEADER"):
                with m.If(taken):
                    m.d.sync += word.eq(Cat(C(0, 1), word[:-1]))
                    store_header(m, c, fields, word, read, error)
                    with m.If(read.last):
                        m.next = "READ_CHECK"
            with m.State("READ_CHECK"):
                m.d.comb += validator.start.eq(1)
                with m.If(error != ErrorCode.OK):
                    m.next = "OFFER"
                with m.Else():
                    m.next = "VALIDATE"
            with m.State("VALIDATE"):
                m.d.sync += [
                    head.eq(0), odd_word.eq(0),
                    remaining.eq(narrow(validator.query_heads * SCALE_WORDS, len(remaining))),
                    scale_addr.eq(addr + 8 * HEADER_WORDS),
                ]
                with m.If(validator.done):
                    m.d.sync += error.eq(validator.error)
                    with m.If(validator.error != ErrorCode.OK):
                        m.next = "OFFER"
                    with m.Else():
                        m.next = "WAIT_SET"
            with m.State("WAIT_SET"):
                with m.If(sets_used != SETS):
                    m.next = "ASK_SCALES"
            with m.State("ASK_SCALES"):
                m.d.comb += [self.cmd.valid.eq(1), self.cmd.p.addr.eq(scale_addr), self.cmd.p.words.eq(chunk)]
                with m.If(self.cmd.ready):
                    m.d.sync += [scale_addr.eq(scale_addr + 8 * longest),
                                 remaining.eq(narrow(remaining - chunk, len(remaining)))]
                    m.next = "SCALES"
            with m.State("SCALES"):
                with m.If(taken):
                    store_scale(m, self.scale_en, self.scale_entry, odd_word, read, fields.give_back,
                                error)
                    m.d.sync += [odd_word.eq(~odd_word), head.eq(head + odd_word)]
                    with m.If(read.last):
                        m.next = "OFFER"
                        with m.If(remaining != 0):
                            m.next = "ASK_SCALES"
            with m.State("OFFER"):
                m.d.comb += leaves.eq(~self.job.valid | self.job.ready)
                with m.If(leaves):
                    m.d.sync += [busy.eq(0), offered.eq(read_job)]
                    m.next = "IDLE"
        with m.If(leaves):
            m.d.sync += self.job.valid.eq(1)
        with m.Elif(self.job.ready):
            m.d.sync += self.job.valid.eq(0)
        m.d.comb += [self.scale_set.eq(set_), self.scale_head.eq(head)]
        # Only a job that will run keeps its set; sets are given back in the order in which they were taken.
        goes = Signal()
        m.d.comb += goes.eq(leaves & (error == ErrorCode.OK))
        m.d.sync += [set_.eq(set_ + goes), sets_used.eq(sets_used + goes - self.retire)]
        contract(m, sets_used <= SETS, "no more sets of scales are used than there are")
        contract(m, sets_used != 0, "a job that retires had a set", when=self.retire)
        contract(m, at_most_one(word), "one header word is read next")
        contract(m, head < c.max_heads, "scales are a head's", when=self.scale_en)
        contract(m, sets_used != SETS, "a set that a job uses is not written", when=self.scale_en)
        return m
