"""The compiled simulation as ctypes sees it, and its life: created, asked whether a rule was broken, freed."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Self

from spatten_hw.config import SpAttenConfig

from . import kept, verilator

#: Cycles a control-port access may take.
ACCESS_LIMIT = 10_000


class ProtocolError(RuntimeError):
    """The accelerator broke a rule of AXI, of a guard, or a contract of its own; cycle, port or unit, and rule."""


class HarnessError(RuntimeError):
    """The accelerator did not answer, or answered a control access with an error."""


class Simulation:
    """A compiled accelerator with memories (`build.build_accelerator`), not yet reset.

    `trace`: a VCD file to write. `start_seed`: of what registers without reset begin with (`power_up.py`); None: $SEED,
    else 1. Whatever is called after `close` raises `HarnessError`.
    """

    _handle: int | None = None

    def __init__(self, config: SpAttenConfig, library: Path, trace: Path | None, start_seed: int | None = None):
        self.config = config
        self.start_seed = verilator.start_seed(start_seed)
        self._lib = _load(library)
        self._handle = self._lib.spatten_create(str(trace).encode() if trace else None, self.start_seed)

    def close(self) -> None:
        """Frees the simulation and ends the trace."""
        if self._handle is not None:
            self._lib.spatten_destroy(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
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
            raise ProtocolError(f"{message} (registers began at random, seed {self.start_seed})")

    def _answer(self, response: int, what: str) -> None:
        self._check()
        if response == -2:
            raise HarnessError(f"{what}: no answer in {ACCESS_LIMIT} cycles")
        if response:
            raise HarnessError(f"{what}: error response {response}")


def _load(path: Path) -> Any:
    lib = kept.load(path)
    u64, i32, h, p = ctypes.c_uint64, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
    words = ctypes.POINTER(u64)
    for name, result, arguments in (
        ("create", h, [p, u64]), ("destroy", None, [h]), ("reset", None, [h, u64]), ("run", i32, [h, u64, i32]),
        ("write32", i32, [h, ctypes.c_uint32, ctypes.c_uint32, u64]),
        ("read32", i32, [h, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32), u64]),
        ("patience", None, [h, u64, u64]), ("hung", u64, [h]), ("shown", u64, [h, ctypes.POINTER(h)]),
        ("running", u64, [h, words, u64]), ("open", u64, [h, ctypes.c_uint, ctypes.POINTER(h)]),
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
