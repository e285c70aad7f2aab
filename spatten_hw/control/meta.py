"""Spreads an item's keys over the slices: what the softmax is told of the vector in a slot."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.rotate import rotated
from ..primitives.widths import narrow
from ..stream.class_keys import ids_below
from ..stream.layouts import slice_counts, slot_meta, tag_layout


def item_note(c: SpAttenConfig) -> data.StructLayout:
    """A `slot_meta` with the number of its keys instead of that of every slice (of prompts only). With `chunk_queries`
    also in generation: tokens below `keys` are seen, scores come of those below `scored`."""
    return data.StructLayout({
        "slot": unsigned(c.slot_bits), "keys": unsigned(c.count_bits), "progressive": 1, "tag": tag_layout(c),
        **({"scored": unsigned(c.count_bits)} if c.chunk_queries else {}),
    })


class MetaStage(wiring.Component):
    """`i` (`item_note`) → `o` (`slot_meta`), always taken, `LATENCY` cycles later, one per cycle.

    Generation (`tag.stream`): slice s has the survivors of class (s − kv_head) mod S: `counts` (by class, constant
    while a job's data move) turned by the head, log2 S steps. Prompt: slice s has every S-th of
    `keys` from (s − kv_head) mod S on. With `chunk_queries`, in generation, of class (s − kv_head) mod S the ids below
    `keys` that are not `dead`.
    """

    LATENCY = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(item_note(c))), "o": Out(stream.Signature(slot_meta(c))),
            "counts": In(slice_counts(c)),
            **({"dead": In(slice_counts(c))} if c.chunk_queries else {}),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        if c.chunk_queries:
            self._of_blocks(m)
            return m
        turn_bits = clog2(c.slices)
        note = self.i.payload
        held = Signal(item_note(c), reset_less=True)
        valid = Signal()
        turned = Signal(slice_counts(c), reset_less=True)
        # By class: a prompt's keys b, b + S, … of `keys`.
        full = narrow(note["keys"] >> turn_bits, c.max_rows.bit_length())
        lanes = rotated([Mux(note.tag.stream, self.counts[b], narrow(
            full + (note["keys"][:turn_bits] > b if b < c.slices - 1 else 0), len(full))) for b in range(c.slices)],
            note.tag.kv_head)
        m.d.comb += self.i.ready.eq(1)
        m.d.sync += [valid.eq(self.i.valid), held.eq(note), self.o.valid.eq(valid)]
        m.d.sync += [turned[s].eq(lanes[s]) for s in range(c.slices)]

        out = Signal(slot_meta(c), reset_less=True)
        m.d.comb += self.o.payload.eq(out)
        m.d.sync += [out.slot.eq(held.slot), out.progressive.eq(held.progressive), out.tag.eq(held.tag),
                     out["keys"].eq(turned)]
        always_taken(m, self.o, "metas")
        contract(m, note["keys"] != 0, "a vector has keys", when=self.i.valid)
        return m

    def _of_blocks(self, m: Module) -> None:
        """Where queries of a gang see different numbers of keys: by class first, then turned by the head."""
        c, note = self.config, self.i.payload
        out = Signal(slot_meta(c), reset_less=True)
        held = Signal(item_note(c), reset_less=True)
        valid = Signal()
        m.d.comb += [self.i.ready.eq(1), self.o.payload.eq(out)]
        m.d.sync += [
            valid.eq(self.i.valid), held.eq(note), self.o.valid.eq(valid), out.slot.eq(held.slot),
            out.progressive.eq(held.progressive), out.tag.eq(held.tag),
        ]
        for name in ("keys", "scored"):
            by_class = Signal(slice_counts(c), name=f"{name}_by_class", reset_less=True)
            m.d.sync += [by_class[b].eq((ids_below(c, note[name], b) - Mux(note.tag.stream, self.dead[b], 0))
                                        [:len(by_class[b])]) for b in range(c.slices)]
            m.d.sync += [out[name][s].eq(keys) for s, keys in enumerate(
                rotated([by_class[b] for b in range(c.slices)], held.tag.kv_head))]
        always_taken(m, self.o, "metas")
        contract(m, (note["keys"] != 0) & (note["keys"] <= note.scored), "a vector has keys, and the scores of all",
                 when=self.i.valid)
