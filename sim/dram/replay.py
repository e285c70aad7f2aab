"""Lists of requests through the model of one channel alone, without an accelerator (`replay.cpp`, compiled by g++)."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.sim.harness import kept
from spatten_hw.sim.harness.build import DRAM_HEADERS
from spatten_hw.sim.harness.build import HERE as HARNESS
from spatten_hw.sim.harness.errors import ToolError
from spatten_hw.sim.harness.verilator import SOUND, call

from .stats import DramStats, decode_stats
from .timing import DramTiming

_COMMAND = ["g++", "-std=c++17", "-O2", SOUND, "-shared", "-fPIC", "-Wall", "-Wextra"]
#: Kinds of commands, by number (`DramController::Kind`).
COMMANDS = ("ACT", "PRE", "RD", "WR", "REF")
#: Memory clocks a request may take on average before a replay is given up.
PATIENCE = 10_000


@dataclass(frozen=True)
class Replay:
    """Outcome: counts, per request the clock of its last data (a write: of its acceptance), and the commands issued if
    they were asked for: rows of (clock, kind, bank, row), kinds as in `COMMANDS`, banks numbered by pseudo-channel,
    group, bank; the row is an ACT's.
    """

    stats: DramStats
    done: np.ndarray
    commands: np.ndarray


def replay(timing: DramTiming, addresses: ArrayLike, sizes: ArrayLike, queue: int | None = None) -> DramStats:
    """Reads of `sizes` bytes at `addresses` (channel-local), in order, each entering as soon as the queue has room.

    `queue`: its length in bursts, None: the timing's; 0: no limit, all reads are there from the first clock.
    """
    return replay_trace(timing, addresses, sizes, queue=queue).stats


def replay_trace(timing: DramTiming, addresses: ArrayLike, sizes: ArrayLike, *, writes: ArrayLike | None = None,
                 arrivals: ArrayLike | None = None, queue: int | None = None, commands: int = 0) -> Replay:
    """The same with writes among the requests and, if given, a clock before which each does not enter.

    `commands`: how many of the commands issued to keep.
    """
    if queue is not None:
        timing = timing.replace(read_queue=queue)
    where = np.ascontiguousarray(addresses, dtype=np.uint64)
    count = len(where)
    bytes_of = np.ascontiguousarray(np.broadcast_to(np.asarray(sizes, dtype=np.uint64), (count,)))
    if count and not bytes_of.all():
        raise ValueError("a request of 0 bytes")
    kinds = None if writes is None else np.ascontiguousarray(np.broadcast_to(np.asarray(writes, np.uint8), (count,)))
    times = None if arrivals is None else np.ascontiguousarray(arrivals, dtype=np.uint64)
    if times is not None and len(times) != count:
        raise ValueError(f"{count} requests, {len(times)} arrivals")
    lib = _library()
    words = np.array(timing.words, dtype=np.uint64)
    stats, done = np.zeros(lib.dram_words(1), dtype=np.uint64), np.zeros(count, dtype=np.uint64)
    if len(words) != lib.dram_words(0):
        raise RuntimeError("DramTiming.words and struct DramTiming in dram_timing.h differ")
    bursts = int(bytes_of.sum()) // timing.burst_bytes + 2 * count
    limit = PATIENCE + PATIENCE * bursts + (int(times.max()) if times is not None and count else 0)
    log = np.zeros((commands, 4), dtype=np.uint64)
    issued = lib.dram_replay(words.ctypes.data, count, where.ctypes.data, bytes_of.ctypes.data, _pointer(kinds),
                             _pointer(times), limit, stats.ctypes.data, done.ctypes.data,
                             _pointer(log if commands else None), commands)
    if issued < 0:
        raise RuntimeError(f"the DRAM model did not answer within {limit} clocks")
    return Replay(decode_stats(stats.tolist(), timing), done, log[:issued])


def _pointer(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


@functools.cache
def _library() -> Any:
    lib = kept.load(_build())
    p, u64 = ctypes.c_void_p, ctypes.c_uint64
    lib.dram_words.restype, lib.dram_words.argtypes = ctypes.c_uint, [ctypes.c_int]
    lib.dram_replay.restype, lib.dram_replay.argtypes = ctypes.c_int64, [p, u64, p, p, p, p, u64, p, p, p, u64]
    return lib


def _build() -> Path:
    """The library, compiled if its sources have changed. Raises `ToolError` if that fails."""
    source = Path(__file__).with_name("replay.cpp")
    digest = hashlib.sha256(" ".join(_COMMAND).encode())
    for path in (source, *(HARNESS / h for h in DRAM_HEADERS)):
        digest.update(path.read_bytes())

    def make(work: Path) -> Path:
        if shutil.which("g++") is None:
            raise ToolError("g++ not found; install with: apt-get install g++")
        made = work / "libdram.so"
        call([*_COMMAND, f"-I{HARNESS}", str(source), "-o", str(made)], work, dict(os.environ), work / "compile.log")
        return made
    return kept.library(f"dram-{digest.hexdigest()[:16]}", make)
