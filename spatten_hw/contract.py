"""Contracts: what a block promises, and what it requires of its neighbours, as assertions inside the RTL.

    contract(m, level <= self.depth, "no more payloads inside than there is room for")
    contract(m, self.i.p.count <= lanes, "count is at most the lanes of a row", when=self.i.valid)

Simulations and proofs compile them, the product never has them: `contract` adds an assertion only within
`contracts()`, which `to_verilog(…, contracts=True)` enters. A contract is checked on every rising edge of
`sync` at which the domain is not in reset; the simulator decides how it reports a broken one
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
    """Within this context, elaboration includes contracts (or, with `on` false, leaves them out)."""
    token = _ON.set(on)
    try:
        yield
    finally:
        _ON.reset(token)


def contracts_on() -> bool:
    """Whether elaboration includes contracts now: a condition for registers that only a contract needs."""
    return _ON.get()


def contract(m: Module, holds: ValueLike, promise: str, *, when: ValueLike = 1) -> None:
    """`holds` is true at every clock edge at which `when` is; `promise` says so in words.

    Inside `m.If` or a state, it applies only there. ValueError if `promise` could not stand in a Verilog string.
    """
    if not promise or any(c in promise for c in "\"\\%{}\n"):
        raise ValueError(f"a promise is a sentence without quotes, backslashes, percent signs and braces: {promise!r}")
    if not contracts_on():
        return
    # `when` is a condition around the assertion, so that a simulator evaluates the assertion only where it holds.
    with m.If(Value.cast(when).any() & ~ResetSignal(allow_reset_less=True)):
        m.d.sync += Assert(holds, promise)


def always_taken(m: Module, port: stream.Interface, name: str) -> None:
    """Every payload on `port` is taken in its cycle: there is room, and the producer ignores `ready`."""
    contract(m, port.ready, f"{name}: what comes is always taken", when=port.valid)


def stream_contract(m: Module, port: stream.Interface, name: str) -> None:
    """The stream contract of `port`'s producer: once valid, it stays valid with the same payload until taken."""
    if not contracts_on():
        return
    payload = Value.cast(port.payload)
    waits = Signal(name=f"{name}_waits")
    held = Signal.like(payload, name=f"{name}_held", reset_less=True)
    m.d.sync += waits.eq(port.valid & ~port.ready)
    with m.If(port.valid & ~port.ready):
        m.d.sync += held.eq(payload)
    contract(m, port.valid & (payload == held), f"{name}: what is offered stays, unchanged, until it is taken",
             when=waits)


def at_most_one(bits: ValueLike) -> Value:
    """At most one of `bits` is set."""
    value = Value.cast(bits)
    return (value & (value - 1)[:len(value)]) == 0

