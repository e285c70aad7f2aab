"""The contract of the softmax' slots, stated at its ports: who may send what for a slot, and when it is free again."""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import wiring

from ..config import SpAttenConfig
from ..contract import always_taken, contract, contracts_on


def slot_contracts(m: Module, c: SpAttenConfig, softmax: wiring.Component) -> None:
    """Adds to `m`, the body of `softmax`, the rules of its slots: a slot is given once (`meta`), gets as many scores as
    `meta` says, gets them once more after `flat`, and is freed once."""
    if not contracts_on():
        return

    def per_slot(width: int, name: str) -> Array:
        return Array([Signal(width, name=f"slot{s}_{name}") for s in range(c.slots)])

    given, flat = per_slot(1, "given"), per_slot(1, "flat")
    keys, scores = per_slot(c.count_bits, "wanted"), per_slot(c.count_bits, "come")
    meta, row = softmax.meta, softmax.i
    total = Signal(c.count_bits + 1)
    m.d.comb += total.eq(scores[row.p.slot] + row.p.count)
    with m.If(row.valid):
        m.d.sync += scores[row.p.slot].eq(Mux(row.p.last, 0, total))
    with m.If(softmax.flat.valid & softmax.flat.ready):
        m.d.sync += flat[softmax.flat.p.slot].eq(1)
    with m.If(softmax.free.valid):
        m.d.sync += [given[softmax.free.p.slot].eq(0), flat[softmax.free.p.slot].eq(0)]
    with m.If(meta.valid):
        m.d.sync += [given[meta.p.slot].eq(1), keys[meta.p.slot].eq(meta.p["keys"])]
    contract(m, ~given[meta.p.slot], "no slot is handed out twice", when=meta.valid)
    contract(m, (meta.p["keys"] != 0) & (meta.p["keys"] <= c.max_tokens), "a vector has 1 to max_tokens keys",
             when=meta.valid)
    contract(m, given[row.p.slot], "scores come only for a slot that was handed out", when=row.valid)
    contract(m, flat[row.p.slot] == row.p.replay, "scores come again after flat, and only then", when=row.valid)
    contract(m, row.p.last == (total == keys[row.p.slot]), "as many scores come as meta says", when=row.valid)
    contract(m, given[softmax.flat.p.slot] & ~flat[softmax.flat.p.slot], "a slot is flat once", when=softmax.flat.valid)
    contract(m, given[softmax.free.p.slot], "a slot is freed once", when=softmax.free.valid)
    always_taken(m, softmax.free, "freed slots")
