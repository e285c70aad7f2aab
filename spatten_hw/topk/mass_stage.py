"""One stage of the search for a threshold by mass: a digit of it."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS
from ..contract import contract
from ..primitives.pipeline import delay
from ..primitives.widths import wrap
from .sum_bins import BINS, DIGIT_BITS, MASS_BITS, SumBins


def mass_row(lanes: int) -> data.StructLayout:
    """A row of a vector's probabilities, 0 in dead lanes."""
    return data.StructLayout({"probs": data.ArrayLayout(unsigned(PROB_BITS), lanes), "last": 1})


def mass_command(decided: int) -> data.StructLayout:
    """A vector's threshold as far as it is known: its top `decided` bits are `prefix`; the probabilities that begin
    with it and are not below the threshold sum to `left` (at least 1) or more."""
    return data.StructLayout({"left": unsigned(MASS_BITS), "prefix": unsigned(decided)})


class MassStage(wiring.Component):
    """Per `cmd` (`mass_command` of `before` bits) one `result` (`mass_command` of four more): the largest digit that
    has, with all larger ones, probabilities that sum to `left`; 0 if none has.

    The vector's rows are added to bins (`SumBins`), those that begin with the prefix; then the bins are read from the
    largest digit on. The first stage (`before` = 0) takes rows before their `cmd`, the others behind it; every row goes
    on to the next stage as `passed`, a cycle after it was taken, only if there is `passed_room` for it. `result` must
    be taken at once; a vector's bins are read only if there is `result_room`. r + `BINS` + 2 cycles from one vector of
    r rows to the next, `latency` from its last row to `result`, if `cmd` is there a cycle later.
    """

    rows: stream.Interface
    passed_valid: Signal
    passed: data.View
    passed_room: Signal
    cmd: stream.Interface
    result_valid: Signal
    result: data.View
    result_room: Signal

    def __init__(self, before: int, lanes: int):
        self.before = before
        self.lanes = lanes
        self.bins = SumBins(lanes)
        #: Register of the row, wait, bins, compared.
        self.latency = 2 + BINS + self.bins.latency + 1
        row = mass_row(lanes)
        super().__init__({
            "rows": In(stream.Signature(row)), "passed_valid": Out(1), "passed": Out(row), "passed_room": In(1),
            "cmd": In(stream.Signature(mass_command(before))),
            "result_valid": Out(1), "result": Out(mass_command(before + DIGIT_BITS)), "result_room": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sums = bins = self.bins
        low = PROB_BITS - self.before - DIGIT_BITS
        prefix, row = self.cmd.p.prefix, self.rows.p
        here = Signal(row.shape(), reset_less=True)
        here_valid = Signal()
        members = Signal(self.lanes, reset_less=True)
        taken = Signal()
        pending = Signal()
        opening = Signal()
        number = Signal(DIGIT_BITS)
        held = Signal(self.cmd.p.shape(), reset_less=True)
        m.d.comb += [
            taken.eq(self.rows.valid & self.rows.ready),
            bins.add.eq(here_valid), bins.members.eq(members), bins.probs.eq(here.probs), bins.bin.eq(number),
            *[bins.digits[lane].eq(here.probs[lane][low:low + DIGIT_BITS]) for lane in range(self.lanes)],
            self.passed_valid.eq(here_valid), self.passed.eq(here),
        ]
        m.d.sync += [
            here_valid.eq(taken), here.eq(row),
            members.eq(Cat(row.probs[lane][low + DIGIT_BITS:] == prefix if self.before else 1
                           for lane in range(self.lanes))),
        ]
        with m.FSM(init="CLEAR"):
            with m.State("CLEAR"):          # what the memories begin with
                m.d.comb += bins.read.eq(1)
                m.d.sync += number.eq(number - 1)
                with m.If(number == 1):
                    m.next = "FILL"
            with m.State("FILL"):
                m.d.comb += self.rows.ready.eq(self.passed_room & (1 if self.before == 0 else self.cmd.valid))
                with m.If(taken & row.last):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += opening.eq(self.cmd.valid & self.result_room & ~pending & ~here_valid)
                m.d.sync += number.eq(BINS - 1)
                with m.If(opening):
                    m.d.sync += held.eq(self.cmd.payload)
                    m.next = "SCAN"
            with m.State("SCAN"):
                m.d.comb += [bins.read.eq(1), self.cmd.ready.eq(number == 0)]
                m.d.sync += number.eq(number - 1)
                with m.If(number == 0):
                    m.next = "FILL"

        # Compared: a bin of all lanes per cycle. (After a reset, noise goes through here, and nothing says it is done.)
        scanned = delay(m, bins.read & self.cmd.valid, bins.latency, "scanned", reset=True)
        digit_now = delay(m, number, bins.latency, "scanned_digit")
        first = Signal()
        left = Signal(MASS_BITS, reset_less=True)
        found = Signal(reset_less=True)
        digit = Signal(DIGIT_BITS, reset_less=True)
        left_now = Signal(MASS_BITS)
        m.d.comb += [first.eq(digit_now == BINS - 1), left_now.eq(Mux(first, held.left, left))]
        with m.If(scanned & (first | ~found)):
            with m.If(bins.sum >= left_now):
                m.d.sync += [found.eq(1), digit.eq(digit_now), left.eq(left_now)]
            with m.Else():
                m.d.sync += [found.eq(0), digit.eq(0), left.eq(wrap(left_now - bins.sum, MASS_BITS))]
        m.d.sync += self.result_valid.eq(scanned & pending & (digit_now == 0))
        m.d.comb += [self.result.left.eq(left), self.result.prefix.eq(Cat(digit, held.prefix))]
        with m.If(opening):
            m.d.sync += pending.eq(1)
        with m.Elif(self.result_valid):
            m.d.sync += pending.eq(0)
        contract(m, self.passed_room, "rows go on only where there is room", when=taken)
        contract(m, self.cmd.p.left != 0, "what is left is at least 1", when=self.cmd.valid)
        contract(m, self.result.left != 0, "what is left is at least 1 for the next digit", when=self.result_valid)
        contract(m, self.result_room, "a result finds room", when=self.result_valid)
        return m
