"""Hands out score slots in ring order and remembers what a flat row's replay needs to know."""

from __future__ import annotations

from amaranth import Array, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.ring import next_in_ring


def slot_entry(c: SpAttenConfig) -> data.StructLayout:
    """What is kept per slot: the K/V head whose LSB plane a replay reads, and how many keys."""
    return data.StructLayout({"kv_head": unsigned(c.head_bits), "keys": unsigned(c.count_bits)})


class SlotRing(wiring.Component):
    """`slots` score slots, taken in ring order, freed in any order.

    `slot` is the next one and `available` (a register, since much depends on it) whether it is free; `take` (only while
    available) takes it and stores `entry`. `free_valid`/`free_slot` give one back. `look_slot` → `look` reads an
    entry in the same cycle. One take and one free per cycle. `empty`: no slot is taken.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "slot": Out(c.slot_bits), "available": Out(1, init=1), "take": In(1), "entry": In(slot_entry(c)),
            "free_valid": In(1), "free_slot": In(c.slot_bits),
            "look_slot": In(c.slot_bits), "look": Out(slot_entry(c)),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        taken = Signal(c.slots)
        entries = [Signal(slot_entry(c), name=f"entry_{i}") for i in range(c.slots)]
        following = Signal(c.slot_bits)
        busy = Signal(c.slots)                  # taken, and not given back now
        m.d.comb += [
            following.eq(next_in_ring(self.slot, c.slots)),
            busy.eq(taken & ~Mux(self.free_valid, Const(1, c.slots) << self.free_slot, 0)[:c.slots]),
            self.empty.eq(taken == 0),
            self.look.eq(Array([e.as_value() for e in entries])[self.look_slot]),
        ]
        m.d.sync += [taken.eq(busy), self.available.eq(~busy.bit_select(self.slot, 1))]
        with m.If(self.take):
            m.d.sync += [
                taken.bit_select(self.slot, 1).eq(1), self.slot.eq(following),
                self.available.eq(~busy.bit_select(following, 1) if c.slots > 1 else 0),
            ]
            with m.Switch(self.slot):
                for i, e in enumerate(entries):
                    with m.Case(i):
                        m.d.sync += e.eq(self.entry)
        contract(m, self.available & ~taken.bit_select(self.slot, 1), "a slot is taken only while it is free",
                 when=self.take)
        contract(m, taken.bit_select(self.free_slot, 1), "only a taken slot is given back", when=self.free_valid)
        return m
