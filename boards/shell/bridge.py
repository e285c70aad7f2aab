"""The board's end of the serial link: requests in, registers and memory accessed, responses out (docs/link.md)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.axil import axil_signature
from spatten_hw.host.link.protocol import (
    CYCLES,
    IDENTITY,
    MAGIC,
    MAX_PAYLOAD,
    PROTOCOL_VERSION,
    RESPONSE,
    Flag,
    Op,
    Status,
)
from spatten_hw.interface.registers import ADDRESS_BITS

from .beat_mover import BeatMover
from .frame_receiver import FrameReceiver, character_layout
from .frame_sender import FrameSender, response_layout
from .memory_port import memory_port
from .register_access import RegisterAccess

#: Clocks that RESET holds the accelerator in reset.
RESET_CYCLES = 16
WORD_BYTES = 4


class Bridge(wiring.Component):
    """Answers every sound frame on `characters` once on `o`, a damaged one with `Op.DAMAGED`; never waits for the host.

    `axil`, `memory`: masters, one access at a time. `irq`: shown in every response. `reset`: the accelerator, by
    request, for `RESET_CYCLES`; no access of the bridge is under way then. `cycles`: clocks since its own reset.

    A register access repeated with the sequence number of the request right before is not done again: it gets the
    same answer once more (JOB_PUSH and COMPLETION must not be accessed twice when only an answer was lost). Memory
    accesses are simply done again.
    """

    def __init__(self, config: SpAttenConfig, clock_hz: int, memory_bytes: int):
        self.config = config
        self.clock_hz = clock_hz
        self.memory_bytes = memory_bytes
        super().__init__({
            "characters": In(stream.Signature(character_layout())), "o": Out(stream.Signature(8)),
            "axil": Out(axil_signature()), "memory": Out(memory_port(config)),
            "irq": In(1), "reset": Out(1), "cycles": Out(64),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        m.submodules.mover = mover = BeatMover(self.config)
        m.submodules.registers = registers = RegisterAccess()
        connect(m, flipped(self.characters), receiver.i)
        connect(m, sender.o, flipped(self.o))
        connect(m, mover.memory, flipped(self.memory))
        connect(m, registers.axil, flipped(self.axil))

        request = receiver.header
        response = Signal(response_layout())
        fill = Signal(range(IDENTITY.size))     # byte of the buffer that is read or written
        filling = Signal()
        word = Signal(32)                       # of a register write
        now = Signal(64)                        # the clock when it was asked for
        outcome = Signal(Status)                # of the request before
        last = Signal(16)                       # its op and sequence number; op 0: there was none
        again = Signal()
        serving = Signal()                      # a request, not a report of damage
        damaged = Signal(16)
        tell_damage = Signal()
        m.d.comb += [
            again.eq(Cat(request.op, request.sequence) == last),
            sender.header.eq(response), receiver.release.eq(sender.done & serving),
            mover.write.eq(request.op == Op.WRITE_MEMORY), mover.address.eq(request.address),
            mover.length.eq(request.length),
            registers.write.eq(request.op == Op.WRITE_REGISTER), registers.address.eq(request.address),
            registers.data.eq(word),
        ]
        read_data = self._buffer(m, receiver, sender, mover, fill, filling, {
            Op.IDENTIFY: Cat(self._constants(), now), Op.STATUS: now, Op.READ_REGISTER: registers.value})
        wrong_count = Signal()                  # both of the request that waits, from its second cycle on
        beyond = Signal()
        m.d.sync += [
            self.cycles.eq(self.cycles + 1), wrong_count.eq(receiver.count != self._payload(request)),
            beyond.eq(request.address + request.length > self.memory_bytes),
        ]
        with m.If(receiver.damaged):
            m.d.sync += [tell_damage.eq(1), damaged.eq(damaged + 1)]

        def answer(status: Value | Status, length: Value | int = 0) -> None:
            """Sends a response without payload, or with what is in the buffer."""
            m.d.sync += [outcome.eq(status), response.length.eq(length)]
            m.next = "SEND"

        def answer_filled(length: int) -> None:
            """Fills the buffer, then sends it."""
            m.d.sync += [outcome.eq(Status.OK), response.length.eq(length)]
            m.next = "FILL"

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [fill.eq(0), now.eq(self.cycles), serving.eq(receiver.done)]
                with m.If(receiver.done):
                    m.d.sync += [response.op.eq(request.op | RESPONSE), response.sequence.eq(request.sequence)]
                    m.next = "DISPATCH"
                with m.Elif(tell_damage):
                    m.d.sync += [response.op.eq(Op.DAMAGED | RESPONSE), response.sequence.eq(0), response.length.eq(0)]
                    m.next = "SEND"
            with m.State("DISPATCH"):
                m.d.sync += last.eq(Cat(request.op, request.sequence))
                with m.If(wrong_count):
                    answer(Status.BAD_REQUEST)
                with m.Else():
                    with m.Switch(request.op):
                        with m.Case(Op.IDENTIFY):
                            answer_filled(IDENTITY.size)
                        with m.Case(Op.STATUS):
                            answer_filled(CYCLES.size)
                        with m.Case(Op.READ_REGISTER):
                            with m.If(again):
                                answer(outcome)
                                with m.If(outcome == Status.OK):
                                    answer_filled(WORD_BYTES)
                            with m.Elif(request.address >> ADDRESS_BITS):
                                answer(Status.BAD_ADDRESS)
                            with m.Else():
                                m.d.comb += registers.start.eq(1)
                                m.next = "REGISTER"
                        with m.Case(Op.WRITE_REGISTER):
                            with m.If(again):
                                answer(outcome)
                            with m.Elif(request.length != WORD_BYTES):
                                answer(Status.BAD_REQUEST)
                            with m.Elif(request.address >> ADDRESS_BITS):
                                answer(Status.BAD_ADDRESS)
                            with m.Else():
                                m.next = "WORD"
                        with m.Case(Op.READ_MEMORY, Op.WRITE_MEMORY):
                            with m.If((request.length == 0) | (request.length > MAX_PAYLOAD)):
                                answer(Status.BAD_REQUEST)
                            with m.Elif(beyond):
                                answer(Status.BAD_ADDRESS)
                            with m.Else():
                                m.d.comb += mover.start.eq(1)
                                m.next = "MOVE"
                        with m.Case(Op.RESET):
                            m.next = "RESET"
                        with m.Default():
                            answer(Status.BAD_REQUEST)
            # Byte n comes out of the buffer while `fill` is n + 1.
            with m.State("WORD"):
                m.d.sync += [word.eq(Cat(word[8:], read_data)), fill.eq(fill + 1)]
                with m.If(fill == WORD_BYTES):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += registers.start.eq(1)
                m.d.sync += fill.eq(0)
                m.next = "REGISTER"
            with m.State("REGISTER"):
                with m.If(registers.done):
                    answer(Mux(registers.error, Status.BUS_ERROR, Status.OK))
                    with m.If(~registers.error & ~registers.write):
                        answer_filled(WORD_BYTES)
            with m.State("MOVE"):
                with m.If(mover.done):
                    answer(Mux(mover.error, Status.BUS_ERROR, Status.OK),
                           Mux(mover.write | mover.error, 0, request.length))
            with m.State("RESET"):
                m.d.comb += self.reset.eq(1)
                m.d.sync += fill.eq(fill + 1)
                with m.If(fill == RESET_CYCLES - 1):
                    answer(Status.OK)
            with m.State("FILL"):
                m.d.comb += filling.eq(1)
                m.d.sync += fill.eq(fill + 1)
                with m.If(fill + 1 == response.length):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.sync += [
                    response.status.eq(Mux(serving, outcome, Status.OK)), response.flags.eq(Mux(self.irq, Flag.IRQ, 0)),
                    response.damaged.eq(damaged), tell_damage.eq(receiver.damaged),
                ]
                m.d.comb += sender.start.eq(1)
                m.next = "SENDING"
            with m.State("SENDING"):
                with m.If(sender.done):
                    m.next = "IDLE"
        return m

    def _constants(self) -> Const:
        """The identification without the clock."""
        c = self.config
        image = IDENTITY.pack(MAGIC, PROTOCOL_VERSION, c.hash, self.clock_hz, self.memory_bytes, c.beat_bytes, 0)
        image = image[:-CYCLES.size]
        return Const(int.from_bytes(image, "little"), 8 * len(image))

    def _payload(self, request) -> Value:
        """Bytes of payload that a request has."""
        return Mux((request.op == Op.WRITE_MEMORY) | (request.op == Op.WRITE_REGISTER), request.length, 0)

    def _buffer(self, m: Module, receiver: FrameReceiver, sender: FrameSender, mover: BeatMover, fill: Signal,
                filling: Signal, words: dict[Op, Value]) -> Value:
        """The frame buffer and who has it when; returns what is read. `words`: what fills it for each op."""
        m.submodules.buffer = buffer = memory.Memory(shape=8, depth=MAX_PAYLOAD, init=[])
        write, read = buffer.write_port(), buffer.read_port()
        byte = Signal(8)
        with m.Switch(receiver.header.op):
            for op, word in words.items():
                with m.Case(op):
                    m.d.comb += byte.eq(word.word_select(fill, 8))
        with m.If(filling):
            m.d.comb += [write.en.eq(1), write.addr.eq(fill), write.data.eq(byte)]
        with m.Elif(mover.w_en):
            m.d.comb += [write.en.eq(1), write.addr.eq(mover.w_addr), write.data.eq(mover.w_data)]
        with m.Else():
            m.d.comb += [write.en.eq(receiver.w_en), write.addr.eq(receiver.w_addr), write.data.eq(receiver.w_data)]
        moving = Signal()
        with m.If(mover.start):
            m.d.sync += moving.eq(1)
        with m.Elif(mover.done):
            m.d.sync += moving.eq(0)
        sending = Signal()
        with m.If(sender.start):
            m.d.sync += sending.eq(1)
        with m.Elif(sender.done):
            m.d.sync += sending.eq(0)
        m.d.comb += read.addr.eq(Mux(moving, mover.r_addr, Mux(sending, sender.r_addr, fill)))
        for reader in (sender, mover):
            m.d.comb += reader.r_data.eq(read.data)
        return read.data
