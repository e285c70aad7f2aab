"""A board on a serial line as a `Transport`: requests framed, checked, repeated until answered (docs/link.md).

    with SerialTransport.open("/dev/ttyUSB0", config) as transport:
        driver = Driver(config, transport)
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from ..config import SpAttenConfig
from ..errors import UserError
from .driver import DeviceError
from .link_protocol import (
    CYCLES,
    DEFAULT_BAUD,
    FLAG,
    MAX_PAYLOAD,
    PROTOCOL_VERSION,
    DamagedFrame,
    Flag,
    Identity,
    Op,
    Response,
    Status,
    decode_identity,
    decode_response,
    encode,
)
from .serial_port import ByteLink, SerialPort

#: Bits of a character on the line.
CHARACTER_BITS = 10
#: Seconds without a character after which an answer is given up; how often in a row, before the board is; and how often
#: a request is sent when what comes back is damaged.
TIMEOUT = 1.0
SILENCES = 4
ATTEMPTS = 12
#: Seconds that the line must be quiet after damage before the request is sent again: what is still on its way, perhaps
#: the answer after all, is heard first.
SETTLE = 0.03
#: Tries of the first request, to something that may be no board.
FIRST_ATTEMPTS = 3
#: Seconds between two reports of progress.
REPORT_EVERY = 0.2

#: Called with the bytes sent and received so far.
LinkProgress = Callable[[int, int], None]


class SerialTransport:
    """The board at the other end of `link`. Asks who it is, then resets its accelerator; a context manager.

    Raises `DeviceError` if nothing sound comes back, if the board speaks another protocol or was built from another
    configuration than `config`, and later if it stops answering. Nothing here waits without limit. `timeout`: seconds
    without a character until an answer is given up (default `TIMEOUT`), beside the time the request takes at `baud`.
    `progress` is called every now and then.
    """

    def __init__(self, link: ByteLink, config: SpAttenConfig, *, baud: int = DEFAULT_BAUD, timeout: float | None = None,
                 attempts: int = ATTEMPTS, progress: LinkProgress | None = None):
        self.link = link
        self.config = config
        self.character = CHARACTER_BITS / baud
        self.timeout = TIMEOUT if timeout is None else timeout
        self.attempts = attempts
        self.sent = self.received = self.repeated = self.damaged = 0
        self._progress = progress or (lambda sent, received: None)
        self._reported = 0.0
        self._sequence = secrets.randbelow(256)
        self._pending = bytearray()
        self.identity = self._identify(baud)
        self._request(Op.RESET)

    @classmethod
    def open(cls, port: str, config: SpAttenConfig, *, baud: int = DEFAULT_BAUD, timeout: float | None = None,
             progress: LinkProgress | None = None) -> SerialTransport:
        """The board at serial port `port`. Raises `UserError` if the port cannot be opened."""
        link = SerialPort(port, baud)
        try:
            return cls(link, config, baud=baud, timeout=timeout, progress=progress)
        except BaseException:
            link.close()
            raise

    def __enter__(self) -> SerialTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the port back."""
        self.link.close()

    # -- Transport ------------------------------------------------------------------------------------

    def read32(self, address: int) -> int:
        """Reads a control register."""
        return int.from_bytes(self._request(Op.READ_REGISTER, address, expect=4).payload, "little")

    def write32(self, address: int, value: int) -> None:
        """Writes a control register."""
        self._request(Op.WRITE_REGISTER, address, payload=value.to_bytes(4, "little"))

    def mem_write(self, channel: int, address: int, data: bytes) -> None:
        """Writes memory."""
        self._check_range(channel, address, len(data))
        for at in range(0, len(data), MAX_PAYLOAD):
            self._request(Op.WRITE_MEMORY, address + at, payload=bytes(data[at:at + MAX_PAYLOAD]))

    def mem_read(self, channel: int, address: int, size: int) -> bytes:
        """Reads memory."""
        self._check_range(channel, address, size)
        return b"".join(
            self._request(Op.READ_MEMORY, address + at, length=min(MAX_PAYLOAD, size - at),
                          expect=min(MAX_PAYLOAD, size - at)).payload
            for at in range(0, size, MAX_PAYLOAD))

    def wait_irq(self, max_cycles: int) -> bool:
        """Asks until the interrupt is up (True) or `max_cycles` of the board's clock have passed (False)."""
        start = last = None
        while True:
            response = self._request(Op.STATUS, expect=CYCLES.size)
            if response.flags & Flag.IRQ:
                return True
            now, = CYCLES.unpack(response.payload)
            start = now if start is None else start
            if now - start >= max_cycles:
                return False
            if last is not None and now <= last:
                raise DeviceError(f"{self.link.name}: the board's clock does not advance: it was reset or has lost "
                                  "its clock; program it again")
            last = now

    @property
    def cycles(self) -> int:
        """Cycles of the board's clock since it was configured."""
        return CYCLES.unpack(self._request(Op.STATUS, expect=CYCLES.size).payload)[0]

    @property
    def memory_bytes(self) -> int:
        """Bytes of the board's memory, from address 0."""
        return self.identity.memory_bytes

    def reset(self) -> None:
        """Resets the accelerator: no jobs, no completions; memory contents stay."""
        self._request(Op.RESET)

    def _check_range(self, channel: int, address: int, size: int) -> None:
        if channel != 0:
            raise DeviceError(f"{self.link.name}: the board has one memory channel, not a channel {channel}")
        if address + size > self.memory_bytes:
            raise UserError(f"the data reach byte {address + size} of memory, the board has {self.memory_bytes}: "
                            "give fewer tokens, heads or layers, or use a board with more memory")

    # -- requests -------------------------------------------------------------------------------------

    def _identify(self, baud: int) -> Identity:
        before, self.attempts = self.attempts, min(self.attempts, FIRST_ATTEMPTS)
        name = self.link.name
        try:
            found = decode_identity(self._request(Op.IDENTIFY, first=True).payload)
        except DamagedFrame:
            raise DeviceError(f"{name}: something answers, but it is no board of this project") from None
        finally:
            self.attempts = before
        if found.protocol >> 16 != PROTOCOL_VERSION >> 16:
            raise DeviceError(f"{name}: the board speaks version {found.protocol >> 16}.{found.protocol & 0xFFFF} of "
                              f"the link's protocol, this host {PROTOCOL_VERSION >> 16}.x: build the bitstream again, "
                              "or use the host of its release")
        if found.config_hash != self.config.hash:
            raise DeviceError(f"{name}: the bitstream was built from configuration {found.config_hash:08x}, not from "
                              f"{self.config.hash:08x} ({self.config.name!r}): give the --preset, --config and --set "
                              "of the build, or build and program that one")
        return found

    def _request(self, op: Op, address: int = 0, *, length: int = 0, payload: bytes = b"", expect: int | None = 0,
                 first: bool = False) -> Response:
        """One request, sent again until it has a sound answer. `expect`: bytes of the answer's payload."""
        self._sequence = (self._sequence + 1) % 256
        request = encode(op, self._sequence, address, length, payload)
        heard = before = self.received
        silences = 0
        for attempt in range(self.attempts):
            silences = 0 if self.received > before else silences + (attempt > 0)
            if silences >= SILENCES:
                break
            before = self.received
            self.link.write(request)
            self.sent += len(request)
            self.repeated += attempt > 0
            response = self._answer(op, len(request))
            self._report()
            if response is None:
                continue
            self._check_status(response, op, address)
            if not first and len(response.payload) != expect:
                raise DeviceError(f"{self.link.name}: the board answers {op.name} with {len(response.payload)} bytes "
                                  f"instead of {expect}: it was built from another release")
            return response
        raise self._silent(first, self.received > heard and not silences)

    def _check_status(self, response: Response, op: Op, address: int) -> None:
        if response.status == Status.OK:
            return
        known = {s.value: s.name for s in Status}
        raise DeviceError(f"{self.link.name}: the board refuses {op.name} at 0x{address:x}: "
                          f"{known.get(response.status, f'status {response.status}')}")

    def _silent(self, first: bool, heard: bool) -> DeviceError:
        name = self.link.name
        if first and heard:
            return DeviceError(f"{name}: what comes back is not the link's protocol: wrong --baud, or another device "
                               "at this port")
        if first:
            return DeviceError(f"{name}: no answer: is it the right port and --baud, and is the board programmed?")
        if heard:
            return DeviceError(f"{name}: {self.attempts} tries without a sound answer: the line is too noisy; use a "
                               "shorter cable or build for a lower baud rate")
        return DeviceError(f"{name}: the board has stopped answering: check its power and cable, program it again")

    # -- answers --------------------------------------------------------------------------------------

    def _answer(self, op: Op, sent: int) -> Response | None:
        """The answer to the request just sent; None if it is to be sent again: silence, damage on either way."""
        silence = self.timeout + sent * self.character
        quiet_since = time.monotonic()
        # However much comes in, an answer takes no longer than this.
        end = quiet_since + 2 * silence + 4 * MAX_PAYLOAD * self.character
        while True:
            now = time.monotonic()
            if now >= min(end, quiet_since + silence):
                self._pending.clear()
                return None
            came = self.link.read(min(end, quiet_since + silence) - now)
            if came:
                quiet_since = time.monotonic()
                self.received += len(came)
                self._pending += came
            while FLAG in self._pending:
                stuffed, _, rest = self._pending.partition(bytes([FLAG]))
                self._pending = bytearray(rest)
                if not stuffed:
                    continue
                response: Response | None
                try:
                    response = decode_response(bytes(stuffed))
                except DamagedFrame:
                    response = None
                if response is None or response.op == Op.DAMAGED:
                    self.damaged += 1
                    silence = min(silence, SETTLE)
                    continue
                # Others are answers to earlier copies of requests that have been answered.
                if response.op == op and response.sequence == self._sequence:
                    return response

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported >= REPORT_EVERY:
            self._reported = now
            self._progress(self.sent, self.received)
