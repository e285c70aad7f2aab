"""SDRAM outside the FPGA, behind the accelerator's memory port."""

from __future__ import annotations

from dataclasses import dataclass, field

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.bus.axi import b_layout, r_layout
from spatten_hw.config import SpAttenConfig, clog2
from spatten_hw.errors import UserError
from spatten_hw.stream.fifo import StreamFifo

from .burst_walker import BurstWalker
from .memory_port import DECERR, OKAY, memory_port
from .sdram_chip import (
    ALL_BANKS,
    BANK_BITS,
    START_REFRESHES,
    WORD_BITS,
    WORD_BYTES,
    Command,
    SdramChip,
    clocks,
    sdram_pins,
)

#: Beats read that may wait for `r.ready`, and write responses for `b.ready`.
READ_DEPTH, RESPONSE_DEPTH = 16, 8


class SdramMemory(wiring.Component):
    """`port` on an SDRAM `chip` at `sdram`, clocked by `sync` inverted (a half clock of set-up and hold at both ends).

    A beat is one burst of the chip (2, 4 or 8 words: `axi_data_bits` 32, 64, 128). One row stays open until another is
    asked for or a refresh is due; inside it beats follow each other without a gap, one per burst's length. A read
    beat in an open row is on `r` CAS latency + burst length + 4 clocks after its address, another row costs tRP + tRCD
    more. Bursts are answered in the order in which they are taken, reads and writes in turn; ids come back. Beats
    beyond the chip are answered with DECERR and not written. All pins are registers; `dq_i` goes straight into some.
    `pin_clocks`: clocks that further registers in the pins add from here to the chip and back.
    """

    def __init__(self, config: SpAttenConfig, chip: SdramChip, clock_hz: int, pin_clocks: int = 0):
        self.config = config
        self.chip = chip
        self.clock_hz = clock_hz
        self.pin_clocks = pin_clocks
        self.words = config.axi_data_bits // WORD_BITS
        if self.words not in (2, 4, 8):
            self._MustUse__silence = True
            raise UserError(f"axi_data_bits = {config.axi_data_bits}: the SDRAM takes 32, 64 or 128")
        super().__init__({"port": In(memory_port(config)), "sdram": Out(sdram_pins())})

    def elaborate(self, platform) -> Module:
        m = Module()
        c, chip, words = self.config, self.chip, self.words
        m.submodules.walker = walker = BurstWalker(c)
        m.submodules.read_beats = read_beats = StreamFifo(r_layout(c), READ_DEPTH)
        m.submodules.responses = responses = StreamFifo(b_layout(c), RESPONSE_DEPTH)
        for name in ("ar", "aw", "w"):
            connect(m, flipped(getattr(self.port, name)), getattr(walker, name))
        connect(m, read_beats.o, flipped(self.port.r))
        connect(m, responses.o, flipped(self.port.b))

        # What is asked for, and where it lies: column in the lowest bits, then bank, then row.
        beat = walker.o.payload
        first_word = Cat(Const(0, clog2(words)), beat.beat)
        column, bank = first_word[:chip.column_bits], first_word[chip.column_bits:][:BANK_BITS]
        row = first_word[chip.column_bits + BANK_BITS:][:chip.row_bits]
        beyond = Signal()
        m.d.comb += beyond.eq(first_word >> chip.column_bits + BANK_BITS + chip.row_bits != 0)

        opened = Signal()
        open_row = Signal(chip.row_bits)
        open_bank = Signal(BANK_BITS)
        hit = Signal()
        m.d.comb += hit.eq((open_row == row) & (open_bank == bank))
        command = Signal(Command)
        address = Signal(len(self.sdram.a))
        take = Signal()
        reading = Signal()
        writing = Signal()
        m.d.comb += [walker.o.ready.eq(take), reading.eq(command == Command.READ), writing.eq(command == Command.WRITE)]
        room = self._capture(m, reading, beat, beyond, read_beats)
        read_wait, write_wait, precharge_wait = self._waits(m, command)
        refresh_due = self._refresh_timer(m, command)
        m.d.comb += [
            responses.i.valid.eq(writing & beat.last), responses.i.payload.id.eq(beat.id),
            responses.i.payload.resp.eq(Mux(beyond, DECERR, OKAY)),
        ]

        # `command` is what the pins show one clock later. After it `wait` − 1 clocks pass before the next decision.
        wait = Signal(range(clocks(chip.t_init, self.clock_hz) + 1), init=clocks(chip.t_init, self.clock_hz))
        step = Signal(range(START_REFRESHES + 2))
        started = Signal()

        def issue(what: Command, then: int = 1, pins: Value | int = 0) -> None:
            """A command, then no other for so many clocks (itself included)."""
            m.d.comb += [command.eq(what), address.eq(pins)]
            if then > 1:
                m.d.sync += wait.eq(then - 1)

        def cycles(nanoseconds: float) -> int:
            return clocks(nanoseconds, self.clock_hz)

        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Elif(~started):
            m.d.sync += step.eq(step + 1)
            with m.If(step == 0):
                issue(Command.PRECHARGE, cycles(chip.t_rp), ALL_BANKS)
            with m.Elif(step <= START_REFRESHES):
                issue(Command.REFRESH, cycles(chip.t_rfc))
            with m.Else():
                issue(Command.MODE, chip.mrd_clocks, chip.mode(words))
                m.d.sync += started.eq(1)
        with m.Elif(opened & (refresh_due | (walker.o.valid & ~hit))):
            with m.If(precharge_wait == 0):
                issue(Command.PRECHARGE, cycles(chip.t_rp), ALL_BANKS)
                m.d.sync += opened.eq(0)
        with m.Elif(refresh_due):
            issue(Command.REFRESH, cycles(chip.t_rfc))
        with m.Elif(walker.o.valid & ~opened):
            issue(Command.ACTIVATE, cycles(chip.t_rcd), row)
            m.d.sync += [opened.eq(1), open_row.eq(row), open_bank.eq(bank)]
        with m.Elif(walker.o.valid & beat.write):
            with m.If((write_wait == 0) & responses.i.ready):
                m.d.comb += take.eq(1)
                issue(Command.WRITE, pins=column)
        with m.Elif(walker.o.valid):
            with m.If((read_wait == 0) & room):
                m.d.comb += take.eq(1)
                issue(Command.READ, pins=column)
        self._drive(m, command, address, bank, beat, beyond, started)
        return m

    def _waits(self, m: Module, command: Signal) -> tuple[Signal, Signal, Signal]:
        """Clocks until a read, a write, a precharge may be decided."""
        chip, words = self.chip, self.words
        # From a read to a write: its last word, and a clock in which nobody drives.
        turn = chip.cas_latency + self.pin_clocks + words + 1
        recovery = words - 1 + clocks(chip.t_wr, self.clock_hz)
        after: dict[str, dict[Command, int]] = {
            "read": {Command.READ: words, Command.WRITE: words},
            "write": {Command.READ: turn, Command.WRITE: words},
            "precharge": {Command.ACTIVATE: clocks(chip.t_ras, self.clock_hz), Command.READ: words,
                          Command.WRITE: recovery},
        }
        waits = []
        for name, distances in after.items():
            wait = Signal(range(max(distances.values()) + 1), name=f"{name}_wait")
            with m.If(wait != 0):
                m.d.sync += wait.eq(wait - 1)
            for what, distance in distances.items():
                with m.If((command == what) & (wait < distance)):
                    m.d.sync += wait.eq(distance - 1)
            waits.append(wait)
        return waits[0], waits[1], waits[2]

    def _refresh_timer(self, m: Module, command: Signal) -> Signal:
        """A refresh is due. Between beats it is never later than the longest wait, which is short against tREFI."""
        interval = int(self.chip.t_refi * self.clock_hz / 1e9)
        timer = Signal(range(interval), init=interval - 1)
        due = Signal()
        with m.If(command == Command.REFRESH):
            m.d.sync += due.eq(0)
        with m.If(timer == 0):
            m.d.sync += [due.eq(1), timer.eq(interval - 1)]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return due

    def _capture(self, m: Module, reading: Signal, beat: data.View, beyond: Signal, fifo: StreamFifo) -> Signal:
        """Gathers what the chip drives after a read; returns whether there is room for another beat."""
        words = self.words
        # Word n of a read decided now is on `dq_i` after this many clocks, plus n.
        first = self.chip.cas_latency + self.pin_clocks
        note = Cat(reading, beat.last, beyond, beat.id)
        notes = [Signal(len(note), name=f"read_note_{n}") for n in range(first + words - 1)]
        for old, new in zip([note, *notes], notes, strict=False):
            m.d.sync += new.eq(old)
        gathered = Signal(WORD_BITS * (words - 1))
        m.d.sync += gathered.eq(Cat(gathered[WORD_BITS:], self.sdram.dq_i))
        arrived = notes[-1]
        credits = Signal(range(READ_DEPTH + 1), init=READ_DEPTH)
        popped = fifo.o.valid & fifo.o.ready
        m.d.comb += [
            fifo.i.valid.eq(arrived[0]), fifo.i.payload.data.eq(Cat(gathered, self.sdram.dq_i)),
            fifo.i.payload.last.eq(arrived[1]), fifo.i.payload.resp.eq(Mux(arrived[2], DECERR, OKAY)),
            fifo.i.payload.id.eq(arrived[3:]),
        ]
        m.d.sync += credits.eq(credits + popped - reading)
        return credits != 0

    def _drive(self, m: Module, command: Signal, address: Signal, bank: Value, beat: data.View, beyond: Signal,
               started: Signal) -> None:
        """The pins: a command, and the words of a write from its clock on."""
        pins, words = self.sdram, self.words
        rest = Signal(WORD_BITS * (words - 1))
        rest_mask = Signal(WORD_BYTES * (words - 1))
        left = Signal(range(words))
        mask = Signal(WORD_BYTES * words)
        m.d.comb += mask.eq(~beat.strb | beyond.replicate(len(mask)))
        m.d.sync += [
            Cat(pins.ras, pins.cas, pins.we).eq(command), pins.a.eq(address), pins.ba.eq(bank),
            pins.dq_oe.eq((command == Command.WRITE) | (left != 0)),
            pins.dqm.eq(Mux(started, Mux(left != 0, rest_mask, 0), (1 << WORD_BYTES) - 1)), pins.dq_o.eq(rest),
            rest.eq(rest >> WORD_BITS), rest_mask.eq(rest_mask >> WORD_BYTES), left.eq(Mux(left != 0, left - 1, 0)),
        ]
        with m.If(command == Command.WRITE):
            m.d.sync += [
                pins.dq_o.eq(beat.data), pins.dqm.eq(mask), rest.eq(beat.data >> WORD_BITS),
                rest_mask.eq(mask >> WORD_BYTES), left.eq(words - 1),
            ]


@dataclass(frozen=True)
class Sdram:
    """A system's memory in an SDRAM chip on port `sdram`; `pin_clocks` as in `SdramMemory` (2 with registered pins)."""

    clock_hz: int
    chip: SdramChip = field(default_factory=SdramChip)
    pin_clocks: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return self.chip.size

    @property
    def pins(self) -> dict[str, wiring.Member]:
        """Ports it adds to the system."""
        return {"sdram": Out(sdram_pins())}

    def build(self, config: SpAttenConfig) -> wiring.Component:
        """The memory, with `port` and its pins."""
        return SdramMemory(config, self.chip, self.clock_hz, self.pin_clocks)
