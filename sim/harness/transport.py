"""The compiled accelerator as a `Transport`: what the host driver talks to when there is no board.

    with VerilatedTransport(PRESETS["small"], latency=30, reorder=True) as t:
        driver = Driver(t, ...)

Time advances only inside `read32`, `write32`, `run` and `wait_irq`. A checker watches the memory ports in every
cycle; the first broken rule is raised as `ProtocolError` by the call during which it happened.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sim.dram.stats import DramStats, decode_stats
from sim.dram.timing import DramTiming
from spatten_hw.config import SpAttenConfig

from .build import Progress, build_accelerator
from .rules import NO_RULES, DesignRules, rules_of
from .streams import SPAN, JobCounts, Span, StreamCount, array_at, decode_counts, decode_jobs, decode_spans

#: AXI response codes that are errors.
SLVERR, DECERR = 2, 3
#: Cycles a control-port access may take.
ACCESS_LIMIT = 10_000

_WRITE, _READ = 1, 2


class ProtocolError(RuntimeError):
    """The accelerator broke a rule of AXI or of a guard; cycle, port and rule."""


class HarnessError(RuntimeError):
    """The accelerator did not answer, or answered a control access with an error."""


@dataclass(frozen=True)
class MemoryOptions:
    """How the memories behave (order of `struct Options` in memory.h). Probabilities are out of 256 per cycle.

    With a model of DRAM behind the ports `latency` means nothing; everything else is added to what the model does.
    """

    latency: int = 16             # cycles from address to first data, and from last write beat to response
    extra: int = 0                # random additional latency, 0 … extra
    reorder: bool = False         # answers of different ids in random order
    interleave: bool = False      # beats of read bursts of different ids mixed
    stall_ar: int = 0             # cycle without ready
    stall_aw: int = 0
    stall_w: int = 0
    gap_r: int = 0                # cycle without valid
    gap_b: int = 0
    ready_after_valid: bool = False   # ready only after valid has been seen waiting
    max_reads: int = 0            # read bursts in flight per channel; 0 = no limit
    seed: int = 1
    fill: int = 0                 # byte that memory never written holds

    def __post_init__(self) -> None:
        if self.latency < 1 or self.extra < 0 or self.max_reads < 0 or not 0 <= self.fill < 256:
            raise ValueError(f"memory options out of range: {self}")
        for name in ("stall_ar", "stall_aw", "stall_w", "gap_r", "gap_b"):
            if not 0 <= getattr(self, name) < 256:
                raise ValueError(f"{name} = {getattr(self, name)}: must be 0 … 255")


#: A memory as unpleasant as AXI4 allows, for tests.
HOSTILE: dict[str, Any] = {"latency": 3, "extra": 40, "reorder": True, "interleave": True, "stall_ar": 100,
                           "stall_aw": 100, "stall_w": 100, "gap_r": 100, "gap_b": 100, "fill": 0xA5}


@dataclass(frozen=True)
class Traffic:
    """What a channel has carried: bytes (reads: whole beats, writes: strobed bytes) and bursts."""

    bytes_read: int
    bytes_written: int
    read_bursts: int
    write_bursts: int


@dataclass(frozen=True)
class Trouble:
    """What a channel does to be in the way, beside its `MemoryOptions` (order of `struct Trouble` in trouble.h)."""

    extra: int = 0         # cycles on top of every latency
    newest: int = 0        # > 0: no answer before no address has come for so many cycles, then the newest burst first
    hold_ar: bool = False  # nothing passes
    hold_r: bool = False
    hold_aw: bool = False
    hold_w: bool = False
    hold_b: bool = False


class VerilatedTransport:
    """`config`: the build; `library`: a library built otherwise (tests); `trace`: a VCD file to write;
    `memory`: a model of DRAM on every port (`sim.dram.timing`), None: memories of a fixed latency.

    Other keywords are fields of `MemoryOptions`. Reset is applied once on creation. A library of one's own is held to
    the rules of AXI; `check_design` says what else it promises.
    """

    def __init__(self, config: SpAttenConfig, *, library: Path | None = None, trace: Path | None = None,
                 optimize: int | None = None, progress: Progress | None = None, memory: DramTiming | None = None,
                 **memory_options: Any):
        self.config = config
        self.memory = memory
        self._handle: int | None = None
        options = MemoryOptions(**memory_options)
        if library is None:
            library = build_accelerator(config, trace=trace is not None, optimize=optimize, progress=progress)
        self._lib = _load(library)
        self._handle = self._lib.spatten_create(str(trace).encode() if trace else None)
        self._classes: tuple[str, ...] = ("",)
        self.configure(options)
        self._set_dram()
        self.check_design(rules_of(config) if library is None else NO_RULES)
        self.reset()

    # -- control port and time ------------------------------------------------------------------------

    def read32(self, address: int) -> int:
        """Reads a register."""
        value = ctypes.c_uint32()
        self._answer(self._lib.spatten_read32(self._open(), address, ctypes.byref(value), ACCESS_LIMIT),
                     f"read of register 0x{address:03x}")
        return value.value

    def write32(self, address: int, value: int) -> None:
        """Writes a register."""
        self._answer(self._lib.spatten_write32(self._open(), address, value, ACCESS_LIMIT),
                     f"write of register 0x{address:03x}")

    def wait_irq(self, max_cycles: int) -> bool:
        """Runs until a cycle shows the interrupt (True) or for `max_cycles` (False)."""
        result = self._lib.spatten_run(self._open(), max_cycles, 1)
        self._check()
        return result == 1

    def run(self, cycles: int) -> None:
        """Runs for `cycles` cycles."""
        self._lib.spatten_run(self._open(), cycles, 0)
        self._check()

    def reset(self, cycles: int = 4) -> None:
        """Resets accelerator and memory ports, at any moment; memory contents stay."""
        self._lib.spatten_reset(self._open(), cycles)
        self._check()

    @property
    def cycles(self) -> int:
        """Clock cycles since creation."""
        return self._lib.spatten_cycles(self._open())

    # -- memory ---------------------------------------------------------------------------------------

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

    def check_design(self, rules: DesignRules) -> None:
        """What the checker of the memory ports demands beyond AXI; set it while nothing is in flight."""
        values = astuple(rules)
        self._lib.spatten_rules(self._open(), (ctypes.c_uint64 * len(values))(*values))

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

    def inject_class_error(self, name: str, count: int, *, write: bool = False, response: int = SLVERR) -> None:
        """An error on the `count`-th read beat, or write burst, of a class from now (0 = next), once."""
        access = _WRITE if write else _READ
        self._lib.spatten_class_inject(self._open(), access, self._classes.index(name), count, response)

    def set_write_guard(self, ranges: Iterable[tuple[int, int, int]] | None) -> None:
        """Only bytes in `ranges` (channel, first, end; channel-local) may be written; None: all may."""
        self._guard(_WRITE, ranges)

    def set_read_guard(self, ranges: Iterable[tuple[int, int, int]] | None) -> None:
        """Only bytes in `ranges` may be read, whole beats; None: all may."""
        self._guard(_READ, ranges)

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

    # -- what the streams did (spatten_hw/probe.py) -----------------------------------------------------

    def streams(self) -> dict[str, StreamCount]:
        """What every stream has done since creation or `clear_streams`, in cycles outside reset."""
        counts = np.zeros(2 * self._probe(), dtype=np.uint64)
        cycles = self._lib.spatten_stream_counts(self._open(), counts.ctypes.data)
        return decode_counts(self.config, cycles, counts)

    def job_streams(self) -> list[JobCounts]:
        """The same for every job that ended since creation or `clear_streams`, in order."""
        self._probe()
        words = ctypes.c_void_p()
        count = self._lib.spatten_jobs(self._open(), ctypes.byref(words))
        return decode_jobs(self.config, array_at(words.value, count, np.uint64))

    def clear_streams(self) -> None:
        """Sets what `streams` and `job_streams` count to nothing."""
        self._lib.spatten_clear_streams(self._open())

    def record(self, on: bool = True, limit: int = 1_000_000) -> None:
        """Records every vector that passes a stream, up to `limit` of them, from now on; those
        recorded before are forgotten. Switch it on while no job runs, or the first vectors lack their beginnings."""
        self._probe()
        self._lib.spatten_record(self._open(), limit if on else 0)

    def spans(self) -> list[Span]:
        """The recorded vectors in the order in which they ended."""
        return decode_spans(self.config, self._spans()[0])

    @property
    def spans_dropped(self) -> int:
        """Vectors that were not recorded because of the limit."""
        return self._spans()[1]

    def _spans(self) -> tuple[np.ndarray, int]:
        self._probe()
        spans, dropped = ctypes.c_void_p(), ctypes.c_uint64()
        count = self._lib.spatten_spans(self._open(), ctypes.byref(spans), ctypes.byref(dropped))
        return array_at(spans.value, count, SPAN), dropped.value

    def _probe(self) -> int:
        """Number of observed streams."""
        count = self._lib.spatten_streams(self._open())
        if not count:
            raise HarnessError("this library was built without a probe: its streams cannot be observed")
        return count

    # -- life -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Frees the simulation and ends the trace."""
        if self._handle is not None:
            self._lib.spatten_destroy(self._handle)
            self._handle = None

    def __enter__(self) -> VerilatedTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _open(self) -> int:
        if self._handle is None:
            raise HarnessError("the transport is closed")
        return self._handle

    def _channel(self, channel: int) -> int:
        if not 0 <= channel < self.config.channels:
            raise ValueError(f"channel {channel}: this build has {self.config.channels}")
        return channel

    def _check(self) -> None:
        message = self._lib.spatten_error(self._open()).decode()
        if message:
            self._lib.spatten_clear_error(self._open())
            raise ProtocolError(message)

    def _answer(self, response: int, what: str) -> None:
        self._check()
        if response == -2:
            raise HarnessError(f"{what}: no answer in {ACCESS_LIMIT} cycles")
        if response:
            raise HarnessError(f"{what}: error response {response}")

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


def _load(path: Path) -> Any:
    lib = ctypes.CDLL(str(path))
    u64, i32, h, p = ctypes.c_uint64, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
    words = ctypes.POINTER(u64)
    for name, result, arguments in (
        ("create", h, [p]), ("destroy", None, [h]), ("reset", None, [h, u64]), ("run", i32, [h, u64, i32]),
        ("write32", i32, [h, ctypes.c_uint32, ctypes.c_uint32, u64]),
        ("read32", i32, [h, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32), u64]),
        ("cycles", u64, [h]), ("error", p, [h]), ("clear_error", None, [h]),
        ("options", None, [h, words]), ("option_count", ctypes.c_uint, []),
        ("mem_write", None, [h, ctypes.c_uint, u64, p, u64]), ("mem_read", None, [h, ctypes.c_uint, u64, p, u64]),
        ("guard", None, [h, ctypes.c_uint, i32, i32, words, ctypes.c_uint]),
        ("inject", None, [h, ctypes.c_uint, i32, i32, u64, u64, i32]), ("clear_faults", None, [h]),
        ("dram", None, [h, h]), ("dram_words", ctypes.c_uint, [i32]), ("dram_stats", None, [h, ctypes.c_uint, h]),
        ("clear_dram_stats", None, [h]), ("record_reads", None, [h, i32]),
        ("reads", u64, [h, ctypes.c_uint, ctypes.POINTER(h)]),
        ("rules", None, [h, words]), ("trouble", None, [h, ctypes.c_uint, words]),
        ("classes", None, [h, ctypes.c_uint]), ("class_range", None, [h, ctypes.c_uint, u64, u64, ctypes.c_uint]),
        ("class_inject", None, [h, i32, ctypes.c_uint, u64, i32]), ("class_bytes", u64, [h, i32, ctypes.c_uint]),
        ("counter", u64, [h, ctypes.c_uint, i32]), ("streams", ctypes.c_uint, [h]),
        ("stream_counts", u64, [h, h]), ("clear_streams", None, [h]), ("jobs", u64, [h, ctypes.POINTER(h)]),
        ("record", None, [h, u64]), ("spans", u64, [h, ctypes.POINTER(h), words]),
    ):
        function = getattr(lib, f"spatten_{name}")
        function.restype, function.argtypes = result, arguments
    return lib
