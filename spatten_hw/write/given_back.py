"""What was dropped is given back: the output scale of a row whose kept probabilities fall short of all."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.rounding import guarded_shift, round_guarded, sticky_shift
from ..primitives.widths import saturate_unsigned, wrap
from ..stream.job_layouts import scale_layout
from ..stream.layouts import RATIO_BITS, RATIO_FRACTION, kept_ratio

#: Largest s: the ratio r is below 2^s, s = 1 … 4.
MOST_BITS = RATIO_BITS - RATIO_FRACTION


class GivenBackScale(wiring.Component):
    """Output scales times the ratio of all probability to that of the values kept.

    `ratio`: of each work item, kept until its row comes; not taken before that of the item's last row was used.
    `row_here`, held: a row of `item` is there, `scale` its head's since a cycle before; `ready`, `CYCLES` cycles later
    or when its ratio has come, shows that `mant`, `shift` are the row's, until `row_done`, a pulse with its last group.
    They hold for one more cycle. mant = round(out_mant·r / 2^s), half to even, saturated; shift = out_shift − s with s
    the bit length of r's integer part; unchanged if nothing was dropped.
    """

    #: From `row_here` to `ready`: ratio read, both factors registered, product, shifted, rounded.
    CYCLES = 5

    #: `kept_ratio`, in any order.
    ratio: stream.Interface
    row_here: Signal
    item: Signal
    scale: Signal
    row_done: Signal
    ready: Signal
    mant: Signal
    shift: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        scale = scale_layout()
        super().__init__({
            "ratio": In(stream.Signature(kept_ratio(c))),
            "row_here": In(1), "item": In(c.item_bits), "scale": In(scale), "row_done": In(1),
            "ready": Out(1), "mant": Out(scale["out_mant"].shape), "shift": Out(scale["out_shift"].shape),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        shape = unsigned(RATIO_BITS + 1)
        m.submodules.ratios = ratios = Memory(shape=shape, depth=c.items, init=[])
        write, read = ratios.write_port(), ratios.read_port(transparent_for=())
        here = Array([Signal(name=f"here_{n}") for n in range(c.items)])
        has = Signal()
        comes = self.ratio.p
        m.d.comb += [
            # An item may be handed out again while the row of its last use waits here.
            self.ratio.ready.eq(~here[comes.item]), write.addr.eq(comes.item), write.data.eq(Cat(comes.r, comes.same)),
            write.en.eq(self.ratio.valid & self.ratio.ready), read.addr.eq(self.item), read.en.eq(1),
            has.eq(self.row_here & here[self.item]),
        ]
        with m.If(write.en):
            m.d.sync += here[comes.item].eq(1)

        mant_bits = len(self.mant)
        r, same = read.data[:RATIO_BITS], read.data[RATIO_BITS]
        factor = Signal(RATIO_BITS, reset_less=True)
        unchanged = Signal(reset_less=True)
        mant = Signal(mant_bits, reset_less=True)
        shift = Signal(len(self.shift), reset_less=True)
        product = Signal(mant_bits + RATIO_BITS, reset_less=True)
        moved = Signal(mant_bits + RATIO_BITS - RATIO_FRACTION + 2, reset_less=True)
        # s − 1 by the leading one of the integer part, which is at least 1.
        less = Signal(range(MOST_BITS), reset_less=True)
        integer = r[RATIO_FRACTION:]
        with m.FSM():
            with m.State("WAIT"):
                with m.If(has):
                    m.d.sync += here[self.item].eq(0)
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += [
                    factor.eq(r), unchanged.eq(same), mant.eq(self.scale.out_mant), shift.eq(self.scale.out_shift),
                    less.eq(0),
                ]
                for n in range(1, MOST_BITS):
                    with m.If(integer[n]):
                        m.d.sync += less.eq(n)
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += product.eq(mant * factor)
                m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.sync += moved.eq(sticky_shift(m, guarded_shift(product, RATIO_FRACTION), less + 1, 1, "moved"))
                m.next = "ROUND"
            with m.State("ROUND"):
                m.d.sync += [
                    self.mant.eq(Mux(unchanged, mant, saturate_unsigned(round_guarded(moved), mant_bits))),
                    self.shift.eq(Mux(unchanged, shift, wrap(shift - less - 1, len(shift)))),
                ]
                m.next = "HOLD"
            with m.State("HOLD"):
                m.d.comb += self.ready.eq(1)
                with m.If(self.row_done):
                    m.next = "WAIT"
        contract(m, unchanged | (shift > less), "an output shift has bits to give", when=self.ready)
        contract(m, self.ready, "a row ends when it has its scale", when=self.row_done)
        return m
