"""The board's end of the protocol, byte by byte: every request, every refusal, damage, repetition."""

import random
import struct

import pytest
from amaranth import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from spatten_hw.boards.shell.block_ram import BlockRamMemory
from spatten_hw.boards.shell.bridge import RESET_CYCLES, Bridge
from spatten_hw.host.link.protocol import (
    FLAG,
    MAX_PAYLOAD,
    Flag,
    Op,
    Status,
    decode_identity,
    decode_response,
    encode,
    frame,
)
from spatten_hw.presets import SMALL

SIZE, CLOCK_HZ = 1280, 25_000_000
#: A register that does not exist.
ABSENT = 0xFF0


class Bench:
    """A bridge with block RAM and registers that are a dictionary; `ask` exchanges bytes with it."""

    def __init__(self):
        top = Module()
        top.submodules.bridge = self.bridge = Bridge(SMALL, CLOCK_HZ, SIZE)
        top.submodules.memory = memory = BlockRamMemory(SMALL, SIZE)
        connect(top, self.bridge.memory, memory.port)
        self.simulator = Simulator(top)
        self.simulator.add_clock(1e-6)
        self.registers = {0: 0x11223344, 4: 0}
        self.accesses: list[tuple[str, int]] = []
        self.resets = 0
        self.simulator.add_testbench(self._serve, background=True)

    def run(self, script) -> None:
        self.simulator.add_testbench(script)
        self.simulator.run()

    async def _serve(self, ctx):
        bus = self.bridge.axil
        ctx.set(bus.awready, 1)
        ctx.set(bus.wready, 1)
        ctx.set(bus.arready, 1)
        while True:
            _, _, aw, w, ar, address, value, where, reset = await ctx.tick().sample(
                bus.awvalid, bus.wvalid, bus.arvalid, bus.awaddr, bus.wdata, bus.araddr, self.bridge.reset)
            self.resets += reset
            assert aw == w
            ctx.set(bus.bvalid, aw)
            ctx.set(bus.rvalid, ar)
            if aw:
                self.accesses.append(("write", address))
                ctx.set(bus.bresp, 2 * (address == ABSENT))
                self.registers[address] = value
            if ar:
                self.accesses.append(("read", where))
                ctx.set(bus.rresp, 2 * (where == ABSENT))
                ctx.set(bus.rdata, self.registers.get(where, 0))

    async def ask(self, ctx, raw: bytes, *, bad: int | None = None, answers: int = 1, limit: int = 8000):
        """Sends raw bytes, character `bad` marked; the responses, which must be `answers` and no more."""
        bridge = self.bridge
        responses, pending = [], bytearray()
        ctx.set(bridge.o.ready, 1)
        sent = quiet = 0
        for _ in range(limit):
            ctx.set(bridge.characters.valid, sent < len(raw))
            if sent < len(raw):
                ctx.set(bridge.characters.payload, {"data": raw[sent], "bad": sent == bad})
            _, _, taken, valid, byte = await ctx.tick().sample(
                bridge.characters.ready & bridge.characters.valid, bridge.o.valid, bridge.o.payload)
            sent += taken
            quiet = 0 if valid or taken else quiet + 1
            if valid and byte == FLAG:
                if pending:
                    responses.append(decode_response(bytes(pending)))
                pending.clear()
            elif valid:
                pending.append(byte)
            if sent == len(raw) and quiet > 40 and len(responses) >= answers:
                break
        assert len(responses) == answers and not pending
        return responses if answers != 1 else responses[0]


def script(test):
    """A test as a coroutine of bench and context."""
    def run():
        bench = Bench()

        async def steps(ctx):
            await test(bench, ctx)
            finished.append(True)
        finished: list[bool] = []
        bench.run(steps)
        assert finished
    run.__name__ = test.__name__
    return run


@script
async def test_identity_and_status(bench, ctx):
    answer = await bench.ask(ctx, encode(Op.IDENTIFY, 7))
    assert (answer.op, answer.sequence, answer.status, answer.flags) == (Op.IDENTIFY, 7, Status.OK, 0)
    identity = decode_identity(answer.payload)
    assert (identity.config_hash, identity.clock_hz, identity.memory_bytes, identity.beat_bytes) == (
        SMALL.hash, CLOCK_HZ, SIZE, SMALL.beat_bytes)
    ctx.set(bench.bridge.irq, 1)
    answer = await bench.ask(ctx, encode(Op.STATUS, 8))
    assert answer.flags == Flag.IRQ and struct.unpack("<Q", answer.payload)[0] > identity.cycles
    await bench.ask(ctx, encode(Op.RESET, 9))
    assert bench.resets == RESET_CYCLES


@script
async def test_memory_of_any_place_and_length(bench, ctx):
    rng = random.Random(5)
    image = bytearray(rng.randbytes(SIZE))
    for at in range(0, SIZE, MAX_PAYLOAD):
        await bench.ask(ctx, encode(Op.WRITE_MEMORY, 1, at, payload=bytes(image[at:at + MAX_PAYLOAD])), limit=20_000)
    for sequence, length in enumerate((1, 2, 7, 8, 9, 50)):
        at = rng.randrange(SIZE - length)
        image[at:at + length] = data = rng.choice((rng.randbytes(length), bytes([FLAG] * length)))
        assert (await bench.ask(ctx, encode(Op.WRITE_MEMORY, sequence, at, payload=data))).status == Status.OK
        # What lies before and behind is as it was.
        first = max(0, at - 9)
        answer = await bench.ask(ctx, encode(Op.READ_MEMORY, sequence, first, length + 12))
        assert answer.payload == image[first:first + length + 12]


@script
async def test_registers_are_not_accessed_twice(bench, ctx):
    for _ in range(3):
        assert (await bench.ask(ctx, encode(Op.READ_REGISTER, 20, 0))).payload == b"\x44\x33\x22\x11"
        bench.registers[0] = 0x55
    assert bench.accesses == [("read", 0)]
    for sequence in (21, 21, 22):
        assert (await bench.ask(ctx, encode(Op.WRITE_REGISTER, sequence, 4, payload=b"\x7e\x7d\x00\x80"))).status == 0
    assert bench.accesses[1:] == [("write", 4)] * 2 and bench.registers[4] == 0x80007D7E
    # The same number again, but another request came between.
    await bench.ask(ctx, encode(Op.READ_REGISTER, 23, 0))
    await bench.ask(ctx, encode(Op.STATUS, 24))
    await bench.ask(ctx, encode(Op.READ_REGISTER, 23, 0))
    assert bench.accesses[3:] == [("read", 0)] * 2


@script
async def test_refusals(bench, ctx):
    word = bytes(4)
    for raw, status in (
            (encode(Op.READ_REGISTER, 1, ABSENT), Status.BUS_ERROR),
            (encode(Op.READ_REGISTER, 1, ABSENT), Status.BUS_ERROR),
            (encode(Op.WRITE_REGISTER, 2, ABSENT, payload=word), Status.BUS_ERROR),
            (encode(Op.READ_REGISTER, 3, 1 << 12), Status.BAD_ADDRESS),
            (encode(Op.WRITE_REGISTER, 4, 1 << 31, payload=word), Status.BAD_ADDRESS),
            (encode(Op.WRITE_REGISTER, 5, 4, payload=b"abc"), Status.BAD_REQUEST),
            (encode(Op.READ_MEMORY, 6, 0, 0), Status.BAD_REQUEST),
            (encode(Op.READ_MEMORY, 7, 0, MAX_PAYLOAD + 1), Status.BAD_REQUEST),
            (encode(Op.READ_MEMORY, 8, SIZE - 7, 8), Status.BAD_ADDRESS),
            (encode(Op.WRITE_MEMORY, 9, 0xFFFFFFFF, payload=b"x"), Status.BAD_ADDRESS),
            (encode(Op.STATUS, 10, payload=b"more"), Status.BAD_REQUEST),
            (frame(bytes([99, 11, 0, 0, 0, 0, 0, 0])), Status.BAD_REQUEST)):
        answer = await bench.ask(ctx, raw)
        assert (answer.status, answer.payload) == (status, b"")
    assert bench.accesses == [("read", ABSENT), ("write", ABSENT)]


@script
async def test_damage_is_told_and_forgotten(bench, ctx):
    good = encode(Op.STATUS, 1)
    rng = random.Random(9)
    count = 0
    kinds = set()
    for _ in range(20):
        raw = bytearray(encode(Op.WRITE_REGISTER, rng.randrange(256), 4, payload=rng.randbytes(4)))
        at = rng.randrange(1, len(raw) - 1)
        kind = rng.choice(("flip", "drop", "bad"))
        if kind == "flip":
            raw[at] ^= 1 << rng.randrange(8)
        if FLAG in raw[1:-1]:
            continue
        if kind == "drop":
            del raw[at]
        answer = await bench.ask(ctx, bytes(raw), bad=at if kind == "bad" else None)
        count += 1
        kinds.add(kind)
        assert (answer.op, answer.damaged) == (Op.DAMAGED, count), kind
    assert bench.accesses == [] and kinds == {"flip", "drop", "bad"}
    # Garbage, a frame longer than any, an unfinished one: the next request is answered all the same.
    for garbage in (rng.randbytes(50).replace(b"\x7e", b""), bytes(2 * MAX_PAYLOAD), good[:5], b"\x7d"):
        first, second = await bench.ask(ctx, garbage + good, answers=2, limit=20_000)
        assert (first.op, second.op, second.status) == (Op.DAMAGED, Op.STATUS, Status.OK)
    # Flags alone are nothing.
    assert (await bench.ask(ctx, bytes([FLAG] * 5) + good)).op == Op.STATUS


@pytest.mark.parametrize("first, second", [(Op.STATUS, Op.IDENTIFY), (Op.READ_MEMORY, Op.READ_REGISTER)])
def test_two_requests_at_once_are_answered_in_turn(first, second):
    bench = Bench()

    async def steps(ctx):
        answers = await bench.ask(ctx, encode(first, 1, 0, 4) + encode(second, 2, 0, 4 * (second == Op.READ_MEMORY)),
                                  answers=2)
        assert [(a.op, a.sequence) for a in answers] == [(first, 1), (second, 2)]
    bench.run(steps)
