"""A board that is only its end of the protocol: a fake accelerator behind a pseudo-terminal, in a thread."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from collections import Counter

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.link.protocol import (
    CYCLES,
    FLAG,
    IDENTITY,
    MAGIC,
    PROTOCOL_VERSION,
    REQUEST,
    DamagedFrame,
    Op,
    Response,
    Status,
    encode_response,
    unframe,
)
from tests.host.fake_device import FakeDevice


class FakeBoard:
    """Answers at `port`. `silent`: nothing comes back; `die_after`: so many answers, then the port goes; `mute_after`:
    then nothing more comes; `lose`: answers (by number) not sent. Other values of the identification by name."""

    def __init__(self, config: SpAttenConfig, *, silent: bool = False, die_after: int | None = None,
                 mute_after: int | None = None, lose: frozenset[int] = frozenset(), protocol: int = PROTOCOL_VERSION,
                 config_hash: int | None = None, memory_bytes: int = 1 << 20, frozen: bool = False):
        self.device = FakeDevice(config)
        self.identity = IDENTITY.pack(MAGIC, protocol, config.hash if config_hash is None else config_hash, 25_000_000,
                                      memory_bytes, config.beat_bytes, 0)
        self.silent, self.die_after, self.mute_after, self.lose, self.frozen = (
            silent, die_after, mute_after, lose, frozen)
        self.requests: Counter[Op] = Counter()
        self.answers = 0
        self.last: tuple[int, int] = (0, 0)
        self.kept = (Status.OK, b"")
        self.line, self.held = pty.openpty()
        tty.setraw(self.held)
        self.port = os.ttyname(self.held)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self) -> FakeBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self._unplug()

    def _unplug(self) -> None:
        for fd in (self.line, self.held):
            if fd >= 0:
                os.close(fd)
        self.line = self.held = -1

    def _serve(self) -> None:
        pending = b""
        while not self.stop.is_set():
            if not select.select([self.line], [], [], 0.01)[0]:
                continue
            pending += os.read(self.line, 4096)
            *frames, pending = pending.split(bytes([FLAG]))
            for stuffed in filter(None, frames):
                if self.answers == self.die_after:
                    self._unplug()
                    return
                answer = self._answer(stuffed)
                self.answers += 1
                muted = self.mute_after is not None and self.answers > self.mute_after
                if not self.silent and not muted and self.answers not in self.lose:
                    os.write(self.line, encode_response(answer))

    def _answer(self, stuffed: bytes) -> Response:
        try:
            body = unframe(stuffed)
        except DamagedFrame:
            return Response(Op.DAMAGED, 0, Status.OK, 0, 1, b"")
        op, sequence, length, address = REQUEST.unpack_from(body)
        again = (op, sequence) == self.last and op in (Op.READ_REGISTER, Op.WRITE_REGISTER)
        if not again:
            self.requests[Op(op)] += 1
            self.last, self.kept = (op, sequence), self._do(Op(op), length, address, body[REQUEST.size:])
        # The fake device runs a job when it is waited for.
        irq = op == Op.STATUS and bool(self.device.queue) and self.device.wait_irq(0)
        status, payload = self.kept
        return Response(op, sequence, status, irq, 0, payload)

    def _do(self, op: Op, length: int, address: int, payload: bytes) -> tuple[Status, bytes]:
        device = self.device
        if op == Op.IDENTIFY:
            return Status.OK, self.identity
        if op == Op.STATUS:
            device.cycles += not self.frozen
            return Status.OK, CYCLES.pack(device.cycles)
        if op == Op.READ_REGISTER:
            if address not in device.by_offset:
                return Status.BUS_ERROR, b""
            return Status.OK, device.read32(address).to_bytes(4, "little")
        if op == Op.WRITE_REGISTER:
            device.write32(address, int.from_bytes(payload, "little"))
        if op == Op.READ_MEMORY:
            return Status.OK, device.mem_read(0, address, length)
        if op == Op.WRITE_MEMORY:
            device.mem_write(0, address, payload)
        return Status.OK, b""
