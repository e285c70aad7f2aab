"""A serial port as bytes in and bytes out; every fault is an error of one line."""

from __future__ import annotations

import contextlib
from typing import Protocol

from ...errors import UserError
from ..device import DeviceError

#: Seconds after which a port that takes no bytes has failed.
WRITE_TIMEOUT = 5.0


class ByteLink(Protocol):
    """What the link's protocol needs of a line. Every failure is a `DeviceError`."""

    name: str

    def write(self, data: bytes, /) -> None:
        """Sends bytes."""

    def read(self, timeout: float, /) -> bytes:
        """What has arrived: at least a byte, or nothing after `timeout` seconds."""

    def close(self) -> None:
        """Closes the link; a second call does nothing."""


class SerialPort:
    """Serial port `name` (a device such as /dev/ttyUSB0, or a pseudo-terminal) at `baud`, 8N1, with exclusive access.

    Raises `UserError` if there is none or it cannot be opened, `DeviceError` if it fails later (unplugged).
    """

    def __init__(self, name: str, baud: int):
        try:
            import serial
        except ImportError:
            raise UserError("serial ports need pyserial: pip install 'spatten-hw[boards]'") from None
        self.name = name
        self._gone: tuple[type[Exception], ...] = (serial.SerialException, OSError, *_termios_error())
        self._slow: type[Exception] = serial.SerialTimeoutException
        try:
            self._port = serial.Serial(name, baud, timeout=0, write_timeout=WRITE_TIMEOUT, exclusive=True)
        except ValueError as error:
            raise UserError(f"{name}: {baud} baud is refused ({error}); use --baud") from None
        except self._gone as error:
            raise UserError(f"{name}: cannot be opened ({_why(error)}); {_remedy(error)}") from None
        # USB adapters otherwise keep short answers back for 16 ms; not every port knows the setting.
        with contextlib.suppress(Exception):
            self._port.set_low_latency_mode(True)

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except self._slow:
            raise DeviceError(f"{self.name}: the port takes no data for {WRITE_TIMEOUT:g} s: unplug it and plug it in "
                              "again") from None
        except self._gone as error:
            raise self._unplugged(error) from None

    def read(self, timeout: float) -> bytes:
        try:
            self._port.timeout = timeout
            return self._port.read(max(1, self._port.in_waiting))
        except self._gone as error:
            raise self._unplugged(error) from None

    def close(self) -> None:
        with contextlib.suppress(*self._gone):
            self._port.close()

    def _unplugged(self, error: Exception) -> DeviceError:
        return DeviceError(f"{self.name}: the port is gone ({_why(error)}): was the board unplugged? Plug it in, "
                           "program it and start again")


def _termios_error() -> tuple[type[Exception], ...]:
    try:
        import termios
    except ImportError:     # not a Unix
        return ()
    return (termios.error,)


def _why(error: Exception) -> str:
    """The reason without pyserial's prefixes, on one line."""
    number = getattr(error, "errno", None)
    if number:
        import os
        return os.strerror(number)
    return " ".join(str(error).split()).rpartition(": ")[2].strip("'()") or type(error).__name__


def _remedy(error: Exception) -> str:
    import errno
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return "join the group that owns it (often dialout) and log in again"
    if number in (errno.EBUSY, errno.EAGAIN) or "lock" in str(error):
        return "close the other program that has it open"
    return "plug the board in and give its port, e.g. --port /dev/ttyUSB0 (python -m serial.tools.list_ports)"
