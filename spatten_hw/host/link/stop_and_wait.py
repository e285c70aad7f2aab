"""Requests on a serial line, one at a time, each repeated until its answer is intact (stop-and-wait, docs/link.md)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from ..device import DeviceError
from .protocol import FLAG, MAX_PAYLOAD, DamagedFrame, Op, Response, Status, decode_response, encode
from .serial_port import ByteLink

#: Bits of a character on the line.
CHARACTER_BITS = 10
#: Seconds without a character until an answer is given up; how often in a row until the board is given up; and how
#: often a request is sent if the answers are damaged.
TIMEOUT = 1.0
SILENCES = 4
ATTEMPTS = 12
#: Seconds that the line must be quiet after damage before the request is sent again, so that bytes still on the way,
#: perhaps an intact answer, arrive first.
SETTLE = 0.03
#: Attempts of the first request: there may be no board at the port.
FIRST_ATTEMPTS = 3
#: Seconds between two reports of progress.
REPORT_EVERY = 0.2

#: Called with the bytes sent and received so far.
LinkProgress = Callable[[int, int], None]


class StopAndWait:
    """Sends requests over `link`. `timeout`: seconds without a character until an answer is given up, beside the time
    the request takes at `baud`; `attempts`: most times that a request is sent; `progress` is called from time to time.
    Counts bytes `sent` and `received`, requests `repeated` and answers `damaged`. Nothing here waits without limit.
    If the port is gone, the errors of `link` pass through."""

    def __init__(self, link: ByteLink, *, baud: int, timeout: float, attempts: int, progress: LinkProgress | None):
        self.link = link
        self.character = CHARACTER_BITS / baud
        self.timeout = timeout
        self.attempts = attempts
        self.sent = self.received = self.repeated = self.damaged = 0
        self._progress = progress or (lambda sent, received: None)
        self._reported = 0.0
        self._sequence = secrets.randbelow(256)
        self._pending = bytearray()

    def request(self, op: Op, address: int = 0, *, length: int = 0, payload: bytes = b"", expect: int = 0,
                first: bool = False) -> Response:
        """One request, repeated until it has an intact answer. `expect`: bytes of the answer's payload; `first`: there
        may be no board, so fewer attempts and any payload. Raises `DeviceError` if no intact answer comes, or if the
        board refuses."""
        attempts = min(self.attempts, FIRST_ATTEMPTS) if first else self.attempts
        self._sequence = (self._sequence + 1) % 256
        request = encode(op, self._sequence, address, length, payload)
        heard = before = self.received
        silences = 0
        for attempt in range(attempts):
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

    def _answer(self, op: Op, sent: int) -> Response | None:
        """The answer to the request just sent; None if it must be sent again, after silence or damage either way."""
        silence = self.timeout + sent * self.character
        quiet_since = time.monotonic()
        # Limit of the wait, however many bytes arrive.
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
                # Any other response answers an earlier copy of a request that already has its answer.
                if response.op == op and response.sequence == self._sequence:
                    return response

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported >= REPORT_EVERY:
            self._reported = now
            self._progress(self.sent, self.received)
