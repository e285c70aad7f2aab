"""What can be done to the simulated memories, and asked of them: contents, faults, guards, traffic, DRAM.

Addresses are local to a channel. Nothing here takes simulated time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spatten_hw.sim.dram.stats import DramStats, decode_stats
from spatten_hw.sim.dram.timing import DramTiming

from .library import HarnessError, Simulation
from .memory_options import MemoryOptions, Trouble
from .streams import array_at

#: AXI response codes that are errors.
SLVERR, DECERR = 2, 3

_WRITE, _READ = 1, 2


@dataclass(frozen=True)
class Traffic:
    """What a channel has carried: bytes (reads: whole beats, writes: strobed bytes) and bursts."""

    bytes_read: int
    bytes_written: int
    read_bursts: int
    write_bursts: int


class Memories(Simulation):
    """The memories on every channel of a simulation; `memory`: a model of DRAM, None: a fixed latency."""

    memory: DramTiming | None = None
    _classes: tuple[str, ...] = ("",)

    def mem_write(self, channel: int, address: int, data: bytes) -> None:
        """Puts bytes at a channel-local address, in no time."""
        self._lib.spatten_mem_write(self._open(), self._channel(channel), address, bytes(data), len(data))

    def mem_read(self, channel: int, address: int, size: int) -> bytes:
        """Bytes at a channel-local address, in no time."""
        buffer = ctypes.create_string_buffer(size)
        self._lib.spatten_mem_read(self._open(), self._channel(channel), address, buffer, size)
        return buffer.raw

    def configure(self, options: MemoryOptions) -> None:
        """Changes how the memories behave from now on."""
        values = [int(v) for v in astuple(options)]
        if len(values) != self._lib.spatten_option_count():
            raise HarnessError("MemoryOptions and struct Options in memory.h differ")
        self._lib.spatten_options(self._open(), (ctypes.c_uint64 * len(values))(*values))

    def trouble(self, channel: int | None = None, **fields: Any) -> None:
        """What one channel, or all, does from now on to be in the way: fields of `Trouble`, none: nothing."""
        values = [int(v) for v in astuple(Trouble(**fields))]
        for c in range(self.config.channels) if channel is None else [self._channel(channel)]:
            self._lib.spatten_trouble(self._open(), c, (ctypes.c_uint64 * len(values))(*values))

    def set_classes(self, classes: Mapping[str, Iterable[tuple[int, int, int]]]) -> None:
        """Names ranges (channel, first, end; channel-local) whose traffic is counted; counts begin at 0.

        Ranges are widened to whole beats and must not share one."""
        beat, seen = self.config.beat_bytes, []
        self._classes = ("", *classes)
        self._lib.spatten_classes(self._open(), len(self._classes))
        for number, name in enumerate(classes, 1):
            for channel, first, end in classes[name]:
                low, high = first // beat * beat, -(-end // beat) * beat
                self._lib.spatten_class_range(self._open(), self._channel(channel), low, high, number)
                seen.append((channel, low, high, name))
        seen.sort()
        for (a, _, end, one), (b, start, _, other) in pairwise(seen):
            if a == b and start < end:
                raise ValueError(f"classes '{one}' and '{other}' share a beat of channel {a}")

    def class_bytes(self) -> dict[str, tuple[int, int]]:
        """(bytes read, bytes written) in whole beats by class since `set_classes`; "" is outside all ranges."""
        return {name: (self._lib.spatten_class_bytes(self._open(), _READ, n),
                       self._lib.spatten_class_bytes(self._open(), _WRITE, n))
                for n, name in enumerate(self._classes)}

    def traffic(self, channel: int | None = None) -> Traffic:
        """Counters of one channel or, by default, of all together."""
        channels = range(self.config.channels) if channel is None else [self._channel(channel)]
        h = self._open()
        return Traffic(*(sum(self._lib.spatten_counter(h, c, kind) for c in channels) for kind in range(4)))

    def record_reads(self, on: bool = True) -> None:
        """Records address and bytes of every read burst from now on; those recorded before are forgotten."""
        self._lib.spatten_record_reads(self._open(), on)

    def reads(self, channel: int) -> np.ndarray:
        """The recorded read bursts of a channel in the order of acceptance: rows of (channel-local address, bytes)."""
        words = ctypes.c_void_p()
        count = self._lib.spatten_reads(self._open(), self._channel(channel), ctypes.byref(words))
        return array_at(words.value, count, np.uint64).reshape(-1, 2)

    def dram_stats(self) -> list[DramStats]:
        """What every channel's DRAM has done since creation or `clear_dram_stats`."""
        if self.memory is None:
            raise HarnessError("these memories have a fixed latency: there are no DRAM statistics")
        words = np.zeros(self._lib.spatten_dram_words(1), dtype=np.uint64)
        result = []
        for c in range(self.config.channels):
            self._lib.spatten_dram_stats(self._open(), c, words.ctypes.data)
            result.append(decode_stats(words.tolist(), self.memory))
        return result

    def clear_dram_stats(self) -> None:
        """Sets what `dram_stats` counts to nothing."""
        self._lib.spatten_clear_dram_stats(self._open())

    def _set_dram(self) -> None:
        if self.memory is None:
            return
        words = np.array(self.memory.words, dtype=np.uint64)
        if len(words) != self._lib.spatten_dram_words(0):
            raise HarnessError("DramTiming.words and struct DramTiming in dram_timing.h differ")
        self._lib.spatten_dram(self._open(), words.ctypes.data)

    def inject_class_error(self, name: str, count: int, *, write: bool = False, response: int = SLVERR) -> None:
        """An error on the `count`-th read beat, or write burst, of a class from now (0 = next), once."""
        access = _WRITE if write else _READ
        self._lib.spatten_class_inject(self._open(), access, self._classes.index(name), count, response)

    def inject_read_error(self, channel: int, *, beat: int | None = None, span: tuple[int, int] | None = None,
                          response: int = SLVERR) -> None:
        """An error on the `beat`-th read beat from now (0 = next), or on every one that touches `span`."""
        self._inject(_READ, channel, beat, span, response)

    def inject_write_error(self, channel: int, *, burst: int | None = None, span: tuple[int, int] | None = None,
                           response: int = SLVERR) -> None:
        """An error on the `burst`-th write response from now, or on every burst that touches `span`; the bytes of
        such a burst are not written."""
        self._inject(_WRITE, channel, burst, span, response)

    def clear_errors(self) -> None:
        """No more injected errors."""
        self._lib.spatten_clear_faults(self._open())

    def set_write_guard(self, ranges: Iterable[tuple[int, int, int]] | None) -> None:
        """Only bytes in `ranges` (channel, first, end; channel-local) may be written; None: all may."""
        self._guard(_WRITE, ranges)

    def set_read_guard(self, ranges: Iterable[tuple[int, int, int]] | None) -> None:
        """Only bytes in `ranges` may be read, whole beats; None: all may."""
        self._guard(_READ, ranges)

    def _guard(self, access: int, ranges: Iterable[tuple[int, int, int]] | None) -> None:
        everything = list(ranges or ())
        for c in range(self.config.channels):
            bounds = [bound for channel, first, end in everything if channel == c for bound in (first, end)]
            array = (ctypes.c_uint64 * len(bounds))(*bounds)
            self._lib.spatten_guard(self._open(), c, access, ranges is not None, array, len(bounds) // 2)

    def _inject(self, access: int, channel: int, count: int | None, span: tuple[int, int] | None,
                response: int) -> None:
        if (count is None) == (span is None):
            raise ValueError("give either a count or a span")
        first, end = span if span is not None else (count, 0)
        self._lib.spatten_inject(self._open(), self._channel(channel), access, span is not None, first, end, response)
