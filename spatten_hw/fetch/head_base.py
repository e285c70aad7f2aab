"""Address of a head in a plane: base + head · head_stride, as a stream stage."""

from __future__ import annotations

from amaranth import Module, Signal, Value, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig
from ..primitives.products import stride_product
from ..primitives.registers import payload_register
from ..primitives.widths import wrap
from ..stream.skid import SpareBuffer


def stride_bits(c: SpAttenConfig) -> int:
    """Width of a head stride (as in the job)."""
    return min(32, c.addr_bits)


def head_query(c: SpAttenConfig, user: ShapeLike) -> data.StructLayout:
    """Where does head `head` start in the plane at `base`?"""
    return data.StructLayout({
        "head": unsigned(c.head_bits), "base": unsigned(c.addr_bits), "stride": unsigned(stride_bits(c)),
        "user": user,
    })


def head_answer(c: SpAttenConfig, user: ShapeLike) -> data.StructLayout:
    """`base`: first byte of the head, modulo the address width."""
    return data.StructLayout({"base": unsigned(c.addr_bits), "user": user})


class HeadBase(wiring.Component):
    """`i` (`head_query`) → `o` (`head_answer`), in order, one per cycle, latency `LATENCY` = 4 cycles.

    The operands are registered before they are multiplied: a queried head may come straight out of a block memory.
    The pipeline moves as a whole; an answer that is not taken waits in a spare register: `i.ready` does not depend on
    `o.ready` of the same cycle. `idle`: holds nothing.
    """

    LATENCY = 4

    i: stream.Interface
    o: stream.Interface
    idle: Signal

    def __init__(self, config: SpAttenConfig, user: ShapeLike):
        self.config = c = config
        self.user = user
        super().__init__({
            "i": In(stream.Signature(head_query(c, user))), "o": Out(stream.Signature(head_answer(c, user))),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        q = self.i.payload
        m.submodules.catch = spare = SpareBuffer(head_answer(c, self.user))
        connect(m, spare.o, flipped(self.o))
        answer = payload_register(m, spare.i.payload, "answer")
        move = Signal()
        m.d.comb += [move.eq(spare.i.ready), self.i.ready.eq(move)]
        user_bits = len(Value.cast(q.user))

        asked_valid = Signal()
        asked = Signal.like(q, reset_less=True)
        product_valid = Signal()
        product_base = Signal(c.addr_bits, reset_less=True)
        product_user = Signal(user_bits, reset_less=True)
        offset_valid = Signal()
        offset_base = Signal(c.addr_bits, reset_less=True)
        offset_user = Signal(user_bits, reset_less=True)
        offset = stride_product(m, asked.head, asked.stride, c.addr_bits, "offset", move)
        with m.If(move):
            m.d.sync += [
                asked_valid.eq(self.i.valid), asked.eq(q),
                product_valid.eq(asked_valid), product_base.eq(asked.base), product_user.eq(asked.user),
                offset_valid.eq(product_valid), offset_base.eq(product_base), offset_user.eq(product_user),
                spare.i.valid.eq(offset_valid), Value.cast(answer.user).eq(offset_user),
                answer.base.eq(wrap(offset_base + offset, c.addr_bits)),
            ]
        m.d.comb += self.idle.eq(~(asked_valid | product_valid | offset_valid | self.o.valid))
        return m
