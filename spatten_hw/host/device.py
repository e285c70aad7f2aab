"""The accelerator's registers: is it the one that was meant, what does it do, what has it counted?"""

from __future__ import annotations

from collections.abc import Collection

from ..config import SpAttenConfig
from ..errors import UserError
from ..interface.activity import describe
from ..interface.registers import COUNTERS, ID, VERSION, Register, register_map
from .outcome import Counters
from .transport import Transport


class DeviceError(UserError):
    """This is not the accelerator that the driver was made for, or it does not answer."""


class Device:
    """The registers behind a transport. Raises `DeviceError` if the accelerator was built from another
    configuration."""

    def __init__(self, config: SpAttenConfig, transport: Transport):
        self.config = config
        self.transport = transport
        self.registers: dict[str, Register] = register_map(config)
        self._check_device()

    def _read(self, name: str) -> int:
        return self.transport.read32(self.registers[name].offset)

    def _write(self, name: str, value: int) -> None:
        self.transport.write32(self.registers[name].offset, value)

    def _field(self, register: str, name: str, word: int) -> int:
        f = next(f for f in self.registers[register].fields if f.name == name)
        return word >> f.lsb & ((1 << f.width) - 1)

    def _check_device(self) -> None:
        found = self._read("ID")
        if found != ID:
            raise DeviceError(f"ID register is 0x{found:08x}, not 0x{ID:08x}: there is no SpAtten accelerator at "
                              "this address")
        version = self._read("VERSION")
        if version >> 16 != VERSION >> 16:
            raise DeviceError(f"the accelerator has register interface {version >> 16}.{version & 0xFFFF}, this "
                              f"driver speaks {VERSION >> 16}.x: use the driver of the same release")
        found = self._read("CONFIG_HASH")
        if found != self.config.hash:
            raise DeviceError(f"the accelerator was built from configuration {found:08x}, the driver has "
                              f"{self.config.hash:08x} ({self.config.name!r}): give the driver the configuration "
                              "of the build")

    def _limit_jobs(self, cycles: int) -> None:
        if not 0 <= cycles < 1 << 32:
            raise DeviceError(f"job_limit is {cycles}: it must be 0 … {(1 << 32) - 1} cycles")
        self._write("JOB_LIMIT", cycles)

    def activity(self) -> str:
        """In words: what the accelerator is doing, and which accesses to memory are unanswered."""
        return describe(self._read("ACTIVITY"), self._read("JOB_TAGS"))

    def counters(self, names: Collection[str] | None = None) -> Counters:
        """The performance counters, all or those of `names` (two reads each)."""
        return Counters({c.name: self._counter(c.name) for c in COUNTERS if names is None or c.name in names})

    def _counter(self, name: str) -> int:
        low = self._read(f"{name.upper()}_LO")
        return low | self._read(f"{name.upper()}_HI") << 32

    def clear_counters(self) -> None:
        self._write("COUNTER_CLEAR", 1)

    def _cycles(self) -> int:
        return self._counter("cycles")
