"""Contracts: what a block promises, and what it requires of its neighbours, as assertions inside the RTL.

    contract(m, level <= self.depth, "no more payloads inside than there is room for")
    contract(m, self.i.p.count <= lanes, "count is at most the lanes of a row", when=self.i.valid)

They are part of what simulations and proofs compile, and never of the product: only within `contracts()`, which
`to_verilog(…, contracts=True)` enters, does `contract` add anything. A contract is looked at on every rising edge of
`sync` at which the domain is not in reset; how a broken one is reported is the simulator's business
(`sim/harness/contracts.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from amaranth import Module, ResetSignal, Signal, Value
from amaranth.hdl import Assert, ValueLike
from amaranth.lib import stream

_ON: ContextVar[bool] = ContextVar("contracts", default=False)


@contextmanager
def contracts(on: bool = True) -> Iterator[None]:
    """Within, what is elaborated contains its contracts (or, with `on` false, does not)."""
    token = _ON.set(on)
    try:
        yield
    finally:
        _ON.reset(token)


def contracts_on() -> bool:
    """Whether contracts are part of what is elaborated now: around registers that only a contract needs."""
    return _ON.get()


def contract(m: Module, holds: ValueLike, promise: str, *, when: ValueLike = 1) -> None:
    """`holds` is true at every clock edge at which `when` is; `promise` says so in words.

    Inside `m.If` or a state, it counts there only. ValueError if `promise` could not stand in a Verilog string.
    """
    if not promise or any(c in promise for c in "\"\\%{}\n"):
        raise ValueError(f"a promise is a sentence without quotes, backslashes, percent signs and braces: {promise!r}")
    if not contracts_on():
        return
    # As a condition, not as part of what is asserted: a simulator then computes the rest only where it holds.
    with m.If(Value.cast(when).any() & ~ResetSignal(allow_reset_less=True)):
        m.d.sync += Assert(holds, promise)


def always_taken(m: Module, port: stream.Interface, name: str) -> None:
    """What comes on `port` is taken in that cycle: there is room, and nobody looks at `ready`."""
    contract(m, port.ready, f"{name}: what comes is always taken", when=port.valid)


def stream_contract(m: Module, port: stream.Interface, name: str) -> None:
    """The stream contract for `port`, of its source: once valid it stays so, its payload unchanged, until taken."""
    if not contracts_on():
        return
    payload = Value.cast(port.payload)
    waits, held = Signal(name=f"{name}_waits"), Signal.like(payload, name=f"{name}_held", reset_less=True)
    m.d.sync += waits.eq(port.valid & ~port.ready)
    with m.If(port.valid & ~port.ready):
        m.d.sync += held.eq(payload)
    contract(m, port.valid & (payload == held), f"{name}: what is offered stays, unchanged, until it is taken",
             when=waits)


def at_most_one(bits: ValueLike) -> Value:
    """At most one of `bits` is set."""
    value = Value.cast(bits)
    return (value & (value - 1)[:len(value)]) == 0


def full_rows(count: ValueLike, last: ValueLike, lanes: int) -> Value:
    """A row of a vector is as it should be: `count` of `lanes` are live, all of them but in the last row, which has one
    at least."""
    n = Value.cast(count)
    return (n == lanes) | (Value.cast(last) & (n != 0) & (n <= lanes))

