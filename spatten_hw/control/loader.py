"""Fills the K and V SRAM halves head by head, ahead of the walker (summarisation)."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.one_hot import lowest_index, without_lowest
from ..stream.layouts import k_command, v_command


class Loader(wiring.Component):
    """Issues one K fill and one V fill command per alive head, halves alternating, as halves come free.

    `start` takes `heads` (bitmap) and `rows` (alive tokens). `k_filled`/`v_filled` with their half end a
    fill; `ready[h]` is then high until `done[h]` (all items that use it are issued); after `retire[h]` (they have
    also left the array) half h is filled again. The two commands
    of a head leave in the same cycle; the next head's follow two cycles later if its half is free.
    """

    k_cmd: stream.Interface
    v_cmd: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "heads": In(c.max_heads), "rows": In(c.count_bits),
            "k_cmd": Out(stream.Signature(k_command(c))), "v_cmd": Out(stream.Signature(v_command(c))),
            "k_filled": In(1), "k_filled_half": In(1), "v_filled": In(1), "v_filled_half": In(1),
            "ready": Out(2), "done": In(2), "retire": In(2),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        left = Signal(c.max_heads)
        half = Signal()
        used = Signal(2)  # being filled, or full
        k_full = Signal(2)
        v_full = Signal(2)
        pending_k = Signal()  # the command registers hold a command not taken yet
        pending_v = Signal()
        head = lowest_index(m, left, "head")
        m.d.comb += [
            self.k_cmd.valid.eq(pending_k), self.v_cmd.valid.eq(pending_v),
            self.ready.eq(k_full & v_full),
        ]
        with m.If(self.k_cmd.ready):
            m.d.sync += pending_k.eq(0)
        with m.If(self.v_cmd.ready):
            m.d.sync += pending_v.eq(0)
        with m.If((left != 0) & ~used.bit_select(half, 1) & ~pending_k & ~pending_v):
            kp, vp = self.k_cmd.payload, self.v_cmd.payload
            m.d.sync += [
                kp.kv_head.eq(head), kp.rows.eq(self.rows), kp.lsb.eq(0), kp.fill.eq(1), kp.half.eq(half),
                vp.kv_head.eq(head), vp.rows.eq(self.rows), vp.half.eq(half),
                pending_k.eq(1), pending_v.eq(1), half.eq(~half),
                left.eq(without_lowest(left)),
                used.bit_select(half, 1).eq(1),
            ]
        for h in range(2):
            with m.If(self.k_filled & (self.k_filled_half == h)):
                m.d.sync += k_full[h].eq(1)
            with m.If(self.v_filled & (self.v_filled_half == h)):
                m.d.sync += v_full[h].eq(1)
            with m.If(self.done[h]):
                m.d.sync += Cat(k_full[h], v_full[h]).eq(0)
            with m.If(self.retire[h]):
                m.d.sync += used[h].eq(0)
        with m.If(self.start):
            m.d.sync += [left.eq(self.heads), half.eq(0)]
        contract(m, used.bit_select(self.k_filled_half, 1) & ~k_full.bit_select(self.k_filled_half, 1),
                 "K of a half is filled once", when=self.k_filled)
        contract(m, used.bit_select(self.v_filled_half, 1) & ~v_full.bit_select(self.v_filled_half, 1),
                 "V of a half is filled once", when=self.v_filled)
        contract(m, (self.done & ~self.ready) == 0, "only a full half is done with")
        contract(m, (self.retire & ~used) == 0, "only a used half is retired")
        contract(m, (left == 0) & ~pending_k & ~pending_v, "a job starts when the fills of the one before are out",
                 when=self.start)
        return m
