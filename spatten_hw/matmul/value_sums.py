"""Multipliers and accumulators of Prob×V in a slice."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from ..config import SpAttenConfig
from ..contract import contract, contracts_on
from ..primitives.pipeline import PART, Pipeline
from ..primitives.registers import NO_COLLISIONS, payload_register
from ..primitives.widths import wrap
from .value_layouts import drain_command, sums_ports, word_bits

#: Cycles from operands on the inputs to the one after which their sums are stored: operands, products, sums.
SUMS_LATENCY = 3
#: Cycles from `drain` to `partial`: command, memory, output register.
DRAIN_LATENCY = 3


class ValueSums(wiring.Component):
    """N multipliers, and `sums` × 2**`word_bits` words of N exact sums.

    valid, sum, word, prob, operands: adds prob · operand to every sum of a word, one word per cycle, never stalls. A
        word may be used again from the third cycle on.
    drain, partial: a word, `DRAIN_LATENCY` cycles later, 0 if nothing was added since it was last read; one per cycle,
        independent of the products. A word in which sums are still being added is not read.

    Words are read again for every product and by the output tree at any time; memories have one read port, so there are
    two copies. Banks would need a multiplexer as large as the adders and stop the products now and then; reading
    through the products' port would stop them for each word, as much as a third of short prompts' time.
    What a word held before its first product is not cleared but ignored (`fresh`): by the reset of the register behind
    the memory, which costs nothing.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__(sums_ports(c))

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        address_bits = c.sum_bits + word_bits(c)
        stages = Pipeline(m)
        fresh = Signal(1 << address_bits, init=-1)
        address = Signal(address_bits)
        m.d.comb += address.eq(Cat(self.word, self.sum))
        drain = Signal(drain_command(c))
        m.d.sync += drain.eq(self.drain)
        drained = Cat(drain.word, drain.sum)
        with m.If(drain.valid):
            m.d.sync += fresh.bit_select(drained, 1).eq(1)
        with m.If(self.valid):
            m.d.sync += fresh.bit_select(address, 1).eq(0)

        # Products.
        probs = stages.copies(self.prob, -(-c.chunk // PART), "prob_here")
        operands = stages.delay(self.operands, 1, "operands_here")
        products = stages.stage([probs[e // PART] * operands.word_select(e, c.operand_bits).as_signed()
                                 for e in range(c.chunk)], "product")

        # Their words: read beside the operands' registers, ready with the products.
        store = stages.flag(self.valid, 2, "store")
        store_address = stages.delay(address, 2, "store_address")
        stored = Signal(c.chunk * c.acc_bits)
        before, before_drained = (
            self._copy(m, name, (store, store_address, stored), at)
            for name, at in (("accumulators", address), ("drained_copy", drained)))
        ignored = stages.delay(fresh.bit_select(address, 1), 1, "ignored")
        old = [Signal(signed(c.acc_bits), name=f"old{e}", reset_less=True) for e in range(c.chunk)]
        m.d.sync += [o.eq(before.word_select(e, c.acc_bits).as_signed()) for e, o in enumerate(old)]
        with m.If(ignored):
            m.d.sync += [o.eq(0) for o in old]
        # The sum over all slices fits, so each partial sum modulo 2^acc_bits is exact in the end.
        m.d.comb += stored.eq(Cat(wrap(o + p, c.acc_bits) for o, p in zip(old, products, strict=True)))

        partial = payload_register(m, self.partial, "partial_word")
        m.d.sync += partial.eq(before_drained)
        with m.If(stages.delay(fresh.bit_select(drained, 1), 1, "nothing")):
            m.d.sync += partial.eq(0)
        self._contracts(m, address, drain.valid, drained)
        return m

    def _copy(self, m: Module, name: str, write: tuple[Value, Value, Value], address: Value) -> Value:
        """A copy of the words, written by `write` (enable, address, word); what was at `address` a cycle ago."""
        c = self.config
        m.submodules[name] = memory = Memory(
            shape=unsigned(c.chunk * c.acc_bits), depth=1 << len(address), init=[],
            # Few words, but wide ones: in look-up tables they would take four times the LUTs of the adders.
            attrs=NO_COLLISIONS | {"ram_style": "block"})
        w, r = memory.write_port(), memory.read_port(transparent_for=())
        enable, at, word = write
        m.d.comb += [w.addr.eq(at), w.data.eq(word), w.en.eq(enable), r.addr.eq(address), r.en.eq(1)]
        return r.data

    def _contracts(self, m: Module, address: Value, drains: Value, drained: Value) -> None:
        if not contracts_on():
            return
        stages = Pipeline(m)
        for n in (1, 2):
            used, at = stages.flag(self.valid, n, f"used{n}"), stages.delay(address, n, f"used_at{n}")
            contract(m, ~(used & (at == address)), "a word is used again from the third cycle on", when=self.valid)
        for n in (0, 1, 2):
            used, at = stages.flag(self.valid, n, f"adds{n}"), stages.delay(address, n, f"adds_at{n}")
            contract(m, ~(used & (at == drained)), "a word that is read has all its products", when=drains)
