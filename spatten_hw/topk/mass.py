"""Values by mass: the threshold above which a vector's probabilities reach a share of their sum."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import PROB_BITS, SpAttenConfig
from ..contract import contract
from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import delay
from ..primitives.tree import tree_stages
from ..primitives.widths import narrow
from ..stream.fifo import StreamFifo, fifo_latency
from ..stream.layouts import threshold
from .mass_stage import MassStage, mass_command, mass_row
from .sum_bins import BINS, DIGIT_BITS, MASS_BITS

#: Largest share: all of the sum.
SHARE_BITS = PROB_BITS + 1
#: Results that wait for the next stage; rows beyond the longest vector, for those that come
#: between the end of one stage and the beginning of the next, and until a queue is seen to be full.
QUEUE, SPARE = 2, 12


class MassThreshold(wiring.Component):
    """Per vector of probabilities the threshold t and how many equal to it to keep, so that as few of the largest as
    possible sum to ceil(`share`·Σp / 4096), at least one: t is the largest with Σ(p ≥ t) ≥ target, `keep_equal` =
    ceil((target − Σ(p > t)) / t); a vector of zeros keeps one.

    Rows of S lanes, as from the softmax; dead lanes are 0. A pipeline of three stages, a digit of 4 bits each
    (`MassStage`), on different vectors; rows wait for the next stage in a queue that holds the longest vector. Σp is
    known when the last row is in. A vector follows one of r rows in `cycles(r)`, and there are `latency(r)` from its
    first row to `o`, alone. `i.ready` and `o` come from registers.
    """

    #: Share of the sum in units of 2^−12, 1 … 4096; constant while vectors are inside.
    share: Signal
    #: Rows of probabilities, `mass_row`.
    i: stream.Interface
    #: One `threshold` per vector, in order.
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.stages = [MassStage(before, c.slices) for before in range(0, PROB_BITS, DIGIT_BITS)]
        #: From a vector's last row to its target: register, tree, sum, product, rounded up.
        self.target_latency = 1 + tree_stages(c.slices) + 3
        #: Most cycles beyond its rows that a vector takes in a stage.
        self.overhead = self.target_latency + BINS
        super().__init__({
            "share": In(SHARE_BITS), "i": In(stream.Signature(mass_row(c.slices))),
            "o": Out(stream.Signature(threshold(PROB_BITS, c.count_bits))),
        })

    def cycles(self, rows: int) -> int:
        """From a vector of so many rows to the next one."""
        return rows + self.overhead

    def latency(self, rows: int) -> int:
        """From the first row of a vector to its threshold, alone."""
        queue = fifo_latency(QUEUE)
        later = sum(queue + rows - 1 + stage.latency for stage in self.stages[1:])
        return rows - 1 + self.stages[0].latency + self.target_latency - 2 + later + queue + MASS_BITS + 2

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        cmd = None
        rows: stream.Interface = flipped(self.i)
        for number, stage in enumerate(self.stages):
            m.submodules[f"stage_{number}"] = stage
            connect(m, rows, stage.rows)
            if cmd is not None:
                connect(m, cmd, stage.cmd)
            results = StreamFifo(mass_command(stage.before + DIGIT_BITS), QUEUE)
            m.submodules[f"results_{number}"] = results
            m.d.comb += [
                results.i.valid.eq(stage.result_valid), results.i.payload.eq(stage.result),
                stage.result_room.eq(results.i.ready),
            ]
            cmd = results.o
            if number == len(self.stages) - 1:
                m.d.comb += stage.passed_room.eq(1)
                break
            waiting = StreamFifo(mass_row(c.slices), c.max_rows + SPARE)
            m.submodules[f"rows_{number}"] = waiting
            m.d.comb += [waiting.i.valid.eq(stage.passed_valid), waiting.i.payload.eq(stage.passed)]
            # Three rows may be on their way when the level is seen.
            m.d.sync += stage.passed_room.eq(waiting.level < c.max_rows + SPARE - 3)
            contract(m, waiting.i.ready, "rows that wait for a stage find room", when=stage.passed_valid)
            rows = waiting.o
        self._target(m, self.stages[0])
        self._divide(m, cmd)
        return m

    def _target(self, m: Module, stage: MassStage) -> None:
        """Σp of the rows in the first stage, and what the kept ones must sum to: its command."""
        levels = tree_stages(self.config.slices)
        row_sum = adder_tree(m, list(stage.passed.probs), "row_sum")
        valid = delay(m, stage.passed_valid, levels, "row_valid", reset=True)
        last = delay(m, stage.passed.last, levels, "row_last")
        begun = Signal()
        total = Signal(MASS_BITS, reset_less=True)
        product = Signal(MASS_BITS + SHARE_BITS, reset_less=True)
        target = Signal(MASS_BITS, reset_less=True)
        exact = Signal(MASS_BITS + SHARE_BITS + 1)
        rounded = Signal(MASS_BITS)
        known = Signal()
        with m.If(valid):
            m.d.sync += [begun.eq(~last), total.eq((Mux(begun, total, 0) + row_sum)[:MASS_BITS])]
        m.d.comb += [
            exact.eq(product + (1 << PROB_BITS) - 1), rounded.eq(narrow(exact >> PROB_BITS, MASS_BITS)),
            stage.cmd.valid.eq(known), stage.cmd.p.left.eq(target),
        ]
        m.d.sync += [product.eq(total * self.share), target.eq(Mux(rounded == 0, 1, rounded))]
        with m.If(delay(m, valid & last, 2, "summed", reset=True)):
            m.d.sync += known.eq(1)
        with m.Elif(stage.cmd.ready):
            m.d.sync += known.eq(0)
        contract(m, (self.share != 0) & (self.share <= 1 << PROB_BITS), "a share is 1 … 4096", when=self.i.valid)
        contract(m, Mux(begun, total, 0) + row_sum < 1 << MASS_BITS, "the sum of a vector's probabilities fits",
                 when=valid)

    def _divide(self, m: Module, found: stream.Interface) -> None:
        """`o`: how many times the threshold fits into what is left, rounded up; a bit per cycle."""
        t = found.p.prefix
        steps = MASS_BITS + 1
        numerator = Signal(steps, reset_less=True)
        remainder = Signal(PROB_BITS, reset_less=True)
        quotient = Signal(steps, reset_less=True)
        step = Signal(range(steps))
        doubled = Signal(PROB_BITS + 1)
        fits = Signal()
        m.d.comb += [doubled.eq(Cat(numerator[-1], remainder)), fits.eq(doubled >= t)]
        with m.FSM(name="divide"):
            with m.State("IDLE"):
                # `found` holds what it shows until it is taken.
                m.d.sync += [numerator.eq(narrow(found.p.left + t - 1, steps)), remainder.eq(0), step.eq(steps - 1)]
                with m.If(found.valid):
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.sync += [
                    remainder.eq(narrow(Mux(fits, doubled - t, doubled), PROB_BITS)),
                    quotient.eq(Cat(fits, quotient[:-1])), numerator.eq(Cat(0, numerator[:-1])), step.eq(step - 1),
                ]
                with m.If(step == 0):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += [self.o.valid.eq(1), found.ready.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        m.d.comb += [
            self.o.p.threshold.eq(t),
            # As many keys equal it at least.
            self.o.p.keep_equal.eq(Mux(t == 0, 1, narrow(quotient, self.config.count_bits))),
        ]
        contract(m, (t == 0) | (quotient <= self.config.max_tokens), "no more are kept than there are",
                 when=self.o.valid)
