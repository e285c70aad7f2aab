"""The contract of the softmax' slots, stated at its ports: who may send what for a slot, and when it is free again."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import wiring

from ..config import SpAttenConfig
from ..contract import always_taken, contract, contracts_on


def slot_contracts(m: Module, c: SpAttenConfig, softmax: wiring.Component) -> None:
    """Adds to `m`, the body of `softmax`, the rules of its slots: a slot is given once (`meta`), gets as many scores in
    every slice as `meta` says, gets them once more if it is flat in generation, and is freed once."""
    if not contracts_on():
        return

    def per_slot(width: int, name: str) -> Array:
        return Array([Signal(width, name=f"slot{s}_{name}") for s in range(c.slots)])

    given, again = per_slot(1, "given"), per_slot(1, "again")
    meta, decided, free = softmax.meta, softmax.decided, softmax.free
    repeats = decided.valid & decided.ready & decided.p.flat & decided.p.tag.stream
    with m.If(repeats):
        m.d.sync += again[decided.p.slot].eq(1)
    with m.If(free.valid):
        m.d.sync += [given[free.p.slot].eq(0), again[free.p.slot].eq(0)]
    with m.If(meta.valid):
        m.d.sync += given[meta.p.slot].eq(1)
    contract(m, ~given[meta.p.slot], "no slot is handed out twice", when=meta.valid)
    contract(m, Cat(keys != 0 for keys in meta.p["keys"]).any(), "a vector has keys", when=meta.valid)
    scored = meta.p.scored if c.chunk_queries else meta.p["keys"]
    contract(m, ~(meta.p.progressive & meta.p.tag.refetched), "a refetched vector has no more LSBs", when=meta.valid)
    contract(m, given[decided.p.slot] & ~again[decided.p.slot], "a slot is decided once", when=decided.valid)
    contract(m, given[free.p.slot], "a slot is freed once", when=free.valid)
    always_taken(m, free, "freed slots")
    for s in range(c.slices):
        keys, come = (per_slot(c.max_rows.bit_length(), f"slice{s}_{name}") for name in ("keys", "come"))
        score = softmax.i[s]
        with m.If(score.valid):
            m.d.sync += come[score.p.slot].eq(come[score.p.slot] + 1)
        with m.If(repeats):
            m.d.sync += come[decided.p.slot].eq(0)
        with m.If(meta.valid):
            m.d.sync += [keys[meta.p.slot].eq(scored[s]), come[meta.p.slot].eq(0)]
        contract(m, (scored[s] <= c.max_rows) & (meta.p["keys"][s] <= scored[s]),
                 "a slice has at most max_rows keys, and the scores of all that are seen", when=meta.valid)
        contract(m, given[score.p.slot], "scores come only for a slot that was handed out", when=score.valid)
        contract(m, again[score.p.slot] == score.p.replay, "scores come again after a flat decision, and only then",
                 when=score.valid)
        contract(m, (come[score.p.slot] < keys[score.p.slot]) & (score.p.row < keys[score.p.slot]),
                 "no more scores come than meta says, none of other rows", when=score.valid)
