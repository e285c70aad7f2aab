"""The rules of `validate.py` in hardware."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.hdl import ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..interface.errors import ErrorCode
from ..interface.validate import RANGES, rules_of
from ..primitives.one_hot import one_hot_mux
from .decode import fields_layout

#: Rules per group of the two-stage search for the first broken one.
GROUP = 8
#: Multiplications of all address ranges, one per cycle.
RANGE_STEPS = sum(len(r.terms) for r in RANGES)
#: Cycles from `start` to `done`: one for heads · group, the steps, and their pipeline.
VALIDATE_CYCLES = RANGE_STEPS + 6


class Validator(wiring.Component):
    """Checks a job's `fields` (stored form, see `decode.py`) whose descriptor lies at `descriptor`.

    Both are constant from the pulse of `start` until `done` pulses, `VALIDATE_CYCLES` later; then `error` is the
    code of the first broken rule (0: legal) until the next start. Every rule has a comparator of its own, in
    parallel; one multiplier computes the ends of the address ranges one after the other.
    `query_heads`: heads · group, valid with `done`.
    """

    fields: data.View
    descriptor: Signal
    start: Signal
    done: Signal
    error: Signal
    query_heads: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = config
        layout = fields_layout(config)
        self.head_count_bits = layout["heads"].width + layout["group"].width
        super().__init__({
            "fields": In(layout),
            "descriptor": In(config.addr_bits),
            "start": In(1),
            "done": Out(1),
            "error": Out(8),
            "query_heads": Out(self.head_count_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        step = Signal(range(VALIDATE_CYCLES + 1))
        m.d.comb += self.done.eq(step == VALIDATE_CYCLES)
        with m.If(self.start):
            m.d.sync += step.eq(1)
        with m.Elif(self.done):
            m.d.sync += step.eq(0)
        with m.Elif(step != 0):
            m.d.sync += step.eq(step + 1)

        names = SimpleNamespace(**{name: self.fields[name] for name, _ in self.fields.shape()},
                                query_heads=self.query_heads, descriptor=self.descriptor,
                                query_tokens=Mux(self.fields.generate, self._queries(), self.fields.tokens))
        m.d.sync += self.query_heads.eq(self.fields.heads * self.fields.group)

        rule_error = self._rules(m, names)
        range_error = self._ranges(m, names, step)
        m.d.comb += self.error.eq(Mux(rule_error != ErrorCode.OK, rule_error, range_error))
        return m

    def _queries(self) -> ValueLike:
        """Queries of a generation job."""
        if not self.config.chunk_queries:
            return 1
        return Mux(self.fields.queries == 0, 1, self.fields.queries)

    def _rules(self, m: Module, names: SimpleNamespace) -> Value:
        """Code of the first broken rule, four cycles after the fields."""
        groups, rules = [], rules_of(self.config)
        for g in range(0, len(rules), GROUP):
            code = Signal(8, name=f"group_{g // GROUP}_error")
            first: Value = Const(ErrorCode.OK, 8)
            for rule in reversed(rules[g:g + GROUP]):
                broken = Signal(name=f"broken_{rule.code.name.lower()}")
                m.d.sync += broken.eq(Value.cast(rule.broken(self.config, names)).any())
                first = Mux(broken, rule.code, first)
            m.d.sync += code.eq(first)
            groups.append(code)
        error = Signal(8, name="rule_error")
        chosen: Value = Const(ErrorCode.OK, 8)
        for code in reversed(groups):
            chosen = Mux(code != ErrorCode.OK, code, chosen)
        m.d.sync += error.eq(chosen)
        return error

    def _ranges(self, m: Module, names: SimpleNamespace, step: Signal) -> Value:
        """Code of the first range that leaves its channel."""
        c = self.config
        terms = [(r, n, x(c, names), y(c, names), less) for r in RANGES for n, (x, y, less) in enumerate(r.terms)]
        x_bits = max(len(Value.cast(x)) for _, _, x, _, _ in terms)
        y_bits = max(len(Value.cast(y)) for _, _, _, y, _ in terms)
        base_bits = c.addr_bits + 1
        end_bits = max(base_bits, x_bits + y_bits) + 2
        extra = data.StructLayout({"first": 1, "closes": 1, "used": 1, "no_channel": 1, "code": 8,
                                   "base": unsigned(base_bits)})

        # Select, multiply in two halves, join them, add, compare: a pipeline without enable.
        x = Signal(x_bits, name="range_x", reset_less=True)
        y = Signal(y_bits, name="range_y", reset_less=True)
        selected = Signal(extra)
        half = x_bits // 2
        low = Signal(half + y_bits, reset_less=True)
        high = Signal(x_bits - half + y_bits, reset_less=True)
        halves = Signal(extra)
        product = Signal(x_bits + y_bits, reset_less=True)
        multiplied = Signal(extra)
        range_end = Signal(end_bits)
        added = Signal(extra)
        error = Signal(8, name="range_error")
        # Which term is selected, one-hot: comparing a counter would lengthen the path of every selected bit.
        turn = Signal(len(terms))
        m.d.sync += turn.eq(Cat(step == 1, turn[:-1]))

        def of_turn(values: Iterable[ValueLike]) -> Value:
            return one_hot_mux(turn, list(values))

        m.d.sync += [
            x.eq(of_turn(x_term for _, _, x_term, _, _ in terms)),
            # Below 0 only if another rule is broken, whose code has priority.
            y.eq(of_turn((y_term - less)[:len(y_term)] if less else y_term for _, _, _, y_term, less in terms)),
            selected.first.eq(of_turn(n == 0 for _, n, _, _, _ in terms)),
            selected.closes.eq(of_turn(n == len(r.terms) - 1 for r, n, _, _, _ in terms)),
            selected.used.eq(of_turn(r.used(names) for r, _, _, _, _ in terms)),
            selected.code.eq(of_turn(r.code for r, _, _, _, _ in terms)),
            selected.no_channel.eq(of_turn(r.no_channel(c, names) for r, _, _, _, _ in terms)),
            selected.base.eq(of_turn(r.base(c, names) for r, _, _, _, _ in terms)),
        ]
        m.d.sync += [
            low.eq(x[:half] * y), high.eq(x[half:] * y), halves.eq(selected),
            product.eq((low + (high << half))[:x_bits + y_bits]), multiplied.eq(halves),
            range_end.eq((Mux(multiplied.first, multiplied.base, range_end) + product)[:end_bits]),
            added.eq(multiplied),
        ]
        with m.If(self.start):
            m.d.sync += error.eq(ErrorCode.OK)
        beyond = added.no_channel | (range_end > (1 << c.axi_addr_bits))
        with m.Elif(added.closes & added.used & beyond & (error == ErrorCode.OK)):
            m.d.sync += error.eq(added.code)
        return error
