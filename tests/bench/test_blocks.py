"""The harness of single blocks on a component small enough to know: payloads, cycles, conditions, rules."""

import os

import numpy as np
import pytest
from amaranth import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.sim.harness.block import Block, LimitError, RuleError
from spatten_hw.sim.harness.payload import Elements, pack, pack_one, unpack, unpack_one

SEED = int(os.environ.get("SEED", "1"))
ROW = data.StructLayout({
    "values": data.ArrayLayout(signed(7), 3), "wide": unsigned(100),
    "inner": data.StructLayout({"a": 1, "b": signed(5)}),
})


class Toy(wiring.Component):
    """`o` = `i` with `offset` added to every value, one cycle later; one row held. `twice`: 2 × `scale`, which a
    memory outside gives for `index`, the number of rows taken. `fault` breaks a rule of streams when a row waits."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, fault: str = ""):
        self.fault = fault
        super().__init__({"i": In(stream.Signature(ROW)), "o": Out(stream.Signature(ROW)), "offset": In(signed(4)),
                          "index": Out(4), "scale": In(9), "twice": Out(10), "busy": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        full = Signal(init=int(self.fault == "reset"))
        row = Signal(ROW)
        waited = Signal()
        m.d.comb += [
            self.i.ready.eq(~full | self.o.ready), self.busy.eq(full), self.twice.eq(self.scale << 1),
            self.o.valid.eq(Mux(waited, full if self.fault != "drop" else 0, full)),
            self.o.payload.eq(row),
        ]
        if self.fault == "change":
            m.d.comb += self.o.p.inner.a.eq(row.inner.a ^ waited)
        m.d.sync += waited.eq(full & ~self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += full.eq(self.i.valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(self.i.payload), self.index.eq(self.index + 1)]
            m.d.sync += [row["values"][n].eq(self.i.p["values"][n] + self.offset) for n in range(3)]
        return m


def columns(count):
    rng = np.random.default_rng(SEED)
    return {"values": rng.integers(-50, 50, (count, 3)), "wide": [int(x) << 60 | 5 for x in range(count)],
            "inner": {"a": rng.integers(0, 2, count), "b": rng.integers(-16, 16, count)}}


def same(got, want):
    assert got.keys() == want.keys()
    for key, value in want.items():
        if isinstance(value, dict):
            same(got[key], value)
        else:
            assert np.array_equal(got[key], np.asarray(value)), key


def test_payloads_there_and_back():
    want = columns(20)
    rows = pack(ROW, want)
    assert rows.shape == (20, -(-ROW.size // 8))
    same(unpack(ROW, rows), want)
    one = {"values": [-3, 0, 63], "wide": 1 << 99, "inner": {"a": 1, "b": -16}}
    assert unpack_one(ROW, pack_one(ROW, one)) == one
    assert ROW.const(one).as_value().value == pack_one(ROW, one)
    dense = unpack(ROW, pack(ROW, {"wide": Elements(np.array([[-1, 2], [3, -8]]), 4)}))
    assert dense["wide"].tolist() == [0x2F, 0x83]


@pytest.mark.parametrize("bad,what", [
    ({"values": [[64, 0, 0]]}, "values.*64.*7 bits"), ({"inner": {"b": [16]}}, "inner.b"),
    ({"other": [1]}, "no such field"), ({"inner": {"a": [-1]}}, "1 bits")])
def test_payloads_that_do_not_fit(bad, what):
    with pytest.raises(ValueError, match=what):
        pack(ROW, bad)


def test_full_rate_and_values():
    toy = Block(Toy)
    toy.set(offset=-2 & 15)
    want = columns(40)
    toy.send("i", want)
    assert toy.run(100, o=40) == 41
    out, sent = toy.taken("o"), toy.taken("i")
    want["values"] -= 2
    same(out.columns(), want)
    assert (out.cycles - sent.cycles).tolist() == [1] * 40
    assert (out.bubbles, out.blocked, out.idle) == (0, 0, 1) and sent.fired == 40
    assert toy.high("busy") == 40 and toy.high("busy") == 0


def test_stalls_and_conditions():
    toy = Block(Toy)
    toy.receive("o", stall=0.5, seed=SEED)
    toy.send("i", pack(ROW, columns(200)), stall=0.3, seed=SEED)
    toy.run(2000, o=200)
    out = toy.taken("o")
    same(out.columns(), columns(200))
    assert 60 < out.blocked < 600 and out.bubbles >= out.blocked - 10
    start = toy.cycle
    toy.receive("o")
    toy.send("i", [0, 1, 2], at=[start + 5, 0, start + 20])
    toy.run(100, o=3)
    assert (toy.taken("i").cycles - start).tolist() == [5, 6, 20]
    toy.receive("o")
    toy.send("i", [0, 1, 2], after=("o", [0, 1, 2]))
    toy.run(100, o=3)
    assert np.array_equal(toy.taken("i").cycles[1:], toy.taken("o").cycles[:-1] + 1)


def test_memory_outside_and_ports():
    toy = Block(Toy)
    toy.lookup("index", "scale", [3 * n for n in range(16)])
    toy.send("i", [0] * 5)
    toy.run(20, o=5)
    toy.idle(1)
    assert toy.get("index") == 5 and toy.get("twice") == 2 * 3 * 5
    toy.reset()
    assert toy.get("index") == 0
    with pytest.raises(ValueError, match="no such port: indes; there are index"):
        toy.get("indes")
    with pytest.raises(ValueError, match="does not fit 4 bits"):
        toy.set(offset=16)


def test_limit():
    toy = Block(Toy)
    toy.send("i", [0] * 3)
    with pytest.raises(LimitError, match=r"20 cycles .*i 3, o 3/4"):
        toy.run(20, o=4)


@pytest.mark.parametrize("fault,what", [("drop", r"o, cycle \d+: valid dropped"), ("change", "payload changed")])
def test_broken_rule(fault, what):
    toy = Block(Toy, fault)
    toy.receive("o", stall=0.6, seed=SEED)
    toy.send("i", [0] * 50)
    with pytest.raises(RuleError, match=what):
        toy.run(500, o=50)


def test_valid_in_reset():
    with pytest.raises(RuleError, match="valid is high in reset"):
        Block(Toy, "reset")
