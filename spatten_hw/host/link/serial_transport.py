"""A board on a serial line as a `Transport`: requests are framed, checked, repeated until answered (docs/link.md).

    with SerialTransport.open("/dev/ttyUSB0", config) as transport:
        driver = Driver(config, transport)
"""

from __future__ import annotations

from ...config import SpAttenConfig
from ...errors import UserError
from ..device import DeviceError
from .protocol import (
    CYCLES,
    DEFAULT_BAUD,
    MAX_PAYLOAD,
    PROTOCOL_VERSION,
    DamagedFrame,
    Flag,
    Identity,
    Op,
    decode_identity,
)
from .serial_port import ByteLink, SerialPort
from .stop_and_wait import ATTEMPTS, TIMEOUT, LinkProgress, StopAndWait


class SerialTransport:
    """The board at the other end of `link`. Reads its identity, then resets its accelerator; a context manager.

    Raises `DeviceError` if no intact answer comes, if the board speaks another protocol or was built from another
    configuration than `config`, and later if it stops answering. Nothing here waits without limit. `timeout`: seconds
    without a character until an answer is given up (default `TIMEOUT`), beside the time the request takes at `baud`.
    `progress` is called from time to time.
    """

    def __init__(self, link: ByteLink, config: SpAttenConfig, *, baud: int = DEFAULT_BAUD, timeout: float | None = None,
                 attempts: int = ATTEMPTS, progress: LinkProgress | None = None):
        self.link = link
        self.config = config
        self.line = StopAndWait(link, baud=baud, timeout=TIMEOUT if timeout is None else timeout, attempts=attempts,
                                progress=progress)
        self.identity = self._identify()
        self.line.request(Op.RESET)

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
        """Closes the port."""
        self.link.close()

    # -- Transport ------------------------------------------------------------------------------------

    def read32(self, address: int) -> int:
        """Reads a control register."""
        return int.from_bytes(self.line.request(Op.READ_REGISTER, address, expect=4).payload, "little")

    def write32(self, address: int, value: int) -> None:
        """Writes a control register."""
        self.line.request(Op.WRITE_REGISTER, address, payload=value.to_bytes(4, "little"))

    def mem_write(self, channel: int, address: int, data: bytes) -> None:
        """Writes memory."""
        self._check_range(channel, address, len(data))
        for at in range(0, len(data), MAX_PAYLOAD):
            self.line.request(Op.WRITE_MEMORY, address + at, payload=bytes(data[at:at + MAX_PAYLOAD]))

    def mem_read(self, channel: int, address: int, size: int) -> bytes:
        """Reads memory."""
        self._check_range(channel, address, size)
        return b"".join(
            self.line.request(Op.READ_MEMORY, address + at, length=min(MAX_PAYLOAD, size - at),
                          expect=min(MAX_PAYLOAD, size - at)).payload
            for at in range(0, size, MAX_PAYLOAD))

    def wait_irq(self, max_cycles: int) -> bool:
        """Asks until the interrupt is up (True) or `max_cycles` of the board's clock have passed (False)."""
        start = last = None
        while True:
            response = self.line.request(Op.STATUS, expect=CYCLES.size)
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
        return CYCLES.unpack(self.line.request(Op.STATUS, expect=CYCLES.size).payload)[0]

    @property
    def memory_bytes(self) -> int:
        """Bytes of the board's memory, from address 0."""
        return self.identity.memory_bytes

    def reset(self) -> None:
        """Resets the accelerator: no jobs, no completions; memory contents stay."""
        self.line.request(Op.RESET)

    def _check_range(self, channel: int, address: int, size: int) -> None:
        if channel != 0:
            raise DeviceError(f"{self.link.name}: the board has one memory channel, not a channel {channel}")
        if address + size > self.memory_bytes:
            raise UserError(f"the data reach byte {address + size} of memory, the board has {self.memory_bytes}: "
                            "give fewer tokens, heads or layers, or use a board with more memory")

    def _identify(self) -> Identity:
        name = self.link.name
        try:
            found = decode_identity(self.line.request(Op.IDENTIFY, first=True).payload)
        except DamagedFrame:
            raise DeviceError(f"{name}: something answers, but it is no board of this project") from None
        if found.protocol >> 16 != PROTOCOL_VERSION >> 16:
            raise DeviceError(f"{name}: the board speaks version {found.protocol >> 16}.{found.protocol & 0xFFFF} of "
                              f"the link's protocol, this host {PROTOCOL_VERSION >> 16}.x: build the bitstream again, "
                              "or use the host of its release")
        if found.config_hash != self.config.hash:
            raise DeviceError(f"{name}: the bitstream was built from configuration {found.config_hash:08x}, not from "
                              f"{self.config.hash:08x} ({self.config.name!r}): give the --preset, --config and --set "
                              "of the build, or build and program that one")
        return found
