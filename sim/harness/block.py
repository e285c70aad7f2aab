"""One compiled block: payloads into its streams, payloads out, and in which cycle each moved.

    adder = Block(Adder, 8)
    adder.set(offset=3)
    adder.send("i", {"a": [1, 2], "b": [3, 4]})
    adder.run(100, o=2)
    adder.taken("o").columns()["sum"]

Python is not woken within `run`: a watcher in C++ (`block.cpp`) checks the stream contract of every output in every
cycle (valid stays, the payload holds until taken; `RuleError`) and notes cycles. Payloads are columns (`payload.py`),
packed bytes [count, bytes], or integers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.lib import data, wiring

from . import verilator
from .block_build import build_block
from .block_library import load
from .block_ports import Port, ports_of
from .build import Progress
from .payload import pack_one, unpack, unpack_one


class RuleError(RuntimeError):
    """The block broke the stream contract, or one of its own; cycle, stream or unit, and rule."""


class LimitError(RuntimeError):
    """The block did not move as much as expected within the cycle limit; what has moved on every stream."""


@dataclass(frozen=True)
class Transfers:
    """What moved on a stream since it was last sent to or received from.

    `cycles`: of every transfer. `payloads`: uint8 [fired, bytes] (outputs; inputs are known). `blocked`: cycles with
    valid and no ready, `idle`: cycles without valid.
    """

    layout: Any
    cycles: np.ndarray
    payloads: np.ndarray
    blocked: int
    idle: int

    @property
    def fired(self) -> int:
        return len(self.cycles)

    @property
    def bubbles(self) -> int:
        """Cycles without a transfer between the first and the last one."""
        return int(self.cycles[-1] - self.cycles[0]) + 1 - self.fired if self.fired else 0

    def columns(self) -> dict[str, Any]:
        """The payloads by field (`payload.unpack`)."""
        return unpack(self.layout, self.payloads)

    def integers(self) -> list[int]:
        """The payloads as integers."""
        return [int.from_bytes(row.tobytes(), "little") for row in self.payloads]


class Block:
    """The simulation of `block(*args, **kwargs)`, reset once; `library` of `build_block` is found or built.

    `start_seed`: of what registers without reset begin with (`power_up.py`); None: $SEED, else 1. Until told otherwise
    inputs are 0, input streams idle, and every output payload is taken at once.
    """

    #: The component simulated, for what it states of itself.
    component: wiring.Component

    def __init__(self, block: Callable[..., wiring.Component], *args: Any, optimize: int | None = None,
                 progress: Progress | None = None, start_seed: int | None = None, **kwargs: Any):
        self._handle: int | None = None
        self.start_seed = verilator.start_seed(start_seed)
        library, self.component = build_block(block, *args, optimize=optimize, progress=progress, **kwargs)
        streams, wires = ports_of(self.component)
        self._streams = {p.name: (n, p) for n, p in enumerate(streams)}
        self._wires = {p.name: (n, p) for n, p in enumerate(wires)}
        self._lib = load(library)
        self._handle = self._lib.block_create(self.start_seed)
        self.reset()

    # -- plain ports ------------------------------------------------------------------------------------

    def set(self, **values: int | Mapping[str, Any]) -> None:
        """Input ports: integers, or a dict of fields for a port with a layout (fields not named become 0)."""
        for name, value in values.items():
            number, port = self._port(self._wires, name, True)
            bits = pack_one(port.layout, value) if isinstance(value, Mapping) else value
            self._lib.block_set(self._handle, number, port.store([bits])[0].tobytes())

    def get(self, name: str) -> Any:
        """An output port as it settles with the present inputs: an integer, a dict of fields, or a list."""
        number, port = self._port(self._wires, name, False)
        buffer = ctypes.create_string_buffer(port.size)
        self._lib.block_get(self._handle, number, buffer)
        bits = int.from_bytes(buffer.raw, "little") & ((1 << port.width) - 1)
        return unpack_one(port.layout, bits) if isinstance(port.layout, data.Layout) else bits

    def high(self, name: str, clear: bool = True) -> int:
        """Cycles in which the lowest bit of an output port was 1, since this was last asked (with `clear`)."""
        return self._lib.block_high(self._handle, self._port(self._wires, name, False)[0], clear)

    def lookup(self, address: str, value: str, table: Mapping[str, Any] | np.ndarray | Sequence[int]) -> None:
        """A synchronous memory outside: input port `value` shows the entry of `table` that output port `address`
        asked for one cycle before (unchanged where there is none)."""
        number, port = self._port(self._wires, value, True)
        rows = port.rows(table)
        self._lib.block_lookup(self._handle, self._port(self._wires, address, False)[0], number, rows.tobytes(),
                               len(rows))

    # -- streams ----------------------------------------------------------------------------------------

    def send(self, name: str, payloads: Mapping[str, Any] | np.ndarray | Sequence[int], *,
             at: np.ndarray | Sequence[int] | None = None,
             after: tuple[str, np.ndarray | Sequence[int]] | None = None, stall: float = 0.0, seed: int = 1) -> None:
        """What input stream `name` is to carry from now on, as early as the block and the conditions allow.

        `at`: per payload the first cycle (`cycle` counts from creation) it may be offered in. `after` = (stream,
        counts): per payload how many payloads that stream must have moved in earlier cycles, counted as in `taken`.
        `stall`: probability that a cycle is not used to offer the next payload.
        """
        number, port = self._port(self._streams, name, True)
        rows = port.rows(payloads)
        wait, counts = (self._port(self._streams, after[0])[0], _counts(after[1], rows)) if after else (-1, None)
        self._lib.block_send(self._handle, number, rows.tobytes(), len(rows), _counts(at, rows), wait, counts,
                             _chance(stall), seed)

    def receive(self, name: str, *, stall: float = 0.0, seed: int = 1) -> None:
        """Forgets what was taken from output stream `name`; not ready with probability `stall` per cycle from now."""
        self._lib.block_receive(self._handle, self._port(self._streams, name, False)[0], _chance(stall), seed)

    def taken(self, name: str) -> Transfers:
        """What has moved on a stream since its last `send` or `receive`."""
        number, port = self._port(self._streams, name)
        fired, blocked, idle = (self._lib.block_count(self._handle, number, kind) for kind in range(3))
        cycles = np.empty(fired, dtype=np.uint64)
        payloads = np.empty((0 if port.input else fired, port.size), dtype=np.uint8)
        self._lib.block_taken(self._handle, number, cycles.ctypes.data, payloads.ctypes.data)
        return Transfers(port.layout, cycles.astype(np.int64), payloads, blocked, idle)

    # -- time -------------------------------------------------------------------------------------------

    @property
    def cycle(self) -> int:
        """Cycles run since creation, without those in reset."""
        return self._lib.block_cycle(self._handle)

    def run(self, limit: int, **counts: int) -> int:
        """Runs until every stream named has moved as many payloads as said; returns the cycles that took.

        LimitError after `limit` cycles, RuleError in the cycle that broke a rule. Without counts: see `idle`.
        """
        if not counts:
            raise ValueError("run until when? name streams and counts, or use idle")
        return self._run(limit, counts)

    def idle(self, cycles: int) -> None:
        """Runs for `cycles` cycles."""
        self._run(cycles, {})

    def reset(self, cycles: int = 2) -> None:
        """Holds reset; what was still to be sent is forgotten."""
        self._lib.block_reset(self._handle, cycles)
        self._check()

    def _run(self, limit: int, counts: Mapping[str, int]) -> int:
        until = (ctypes.c_uint64 * len(self._streams))()
        if not counts:
            until[0] = 1 << 63
        for name, count in counts.items():
            until[self._port(self._streams, name)[0]] = count
        before = self.cycle
        result = self._lib.block_run(self._handle, limit, until)
        self._check()
        if counts and result == 0:
            wanted = {name: f"/{count}" for name, count in counts.items()}
            moved = ", ".join(f"{name} {self._lib.block_count(self._handle, at, 0)}{wanted.get(name, '')}"
                              for name, (at, _) in self._streams.items())
            raise LimitError(f"{limit} cycles were not enough; moved: {moved}")
        return self.cycle - before

    def _check(self) -> None:
        message = self._lib.block_error(self._handle).decode()
        if message:
            self._lib.block_clear_error(self._handle)
            raise RuleError(f"{message} (registers began at random, seed {self.start_seed})")

    def _port(self, table: dict[str, tuple[int, Port]], name: str, is_input: bool | None = None) -> tuple[int, Port]:
        if name not in table or is_input not in (None, table[name][1].input):
            wanted = [n for n, (_, p) in table.items() if is_input in (None, p.input)]
            raise ValueError(f"no such port: {name}; there are {', '.join(wanted) or 'none'}")
        return table[name]

    def __del__(self) -> None:
        if self._handle is not None:
            self._lib.block_destroy(self._handle)
            self._handle = None


def _counts(values: Any, rows: np.ndarray) -> Any:
    if values is None:
        return None
    if len(values) != len(rows):
        raise ValueError(f"{len(values)} conditions for {len(rows)} payloads")
    return (ctypes.c_uint64 * len(rows))(*map(int, values))


def _chance(stall: float) -> int:
    if not 0 <= stall < 1:
        raise ValueError(f"stall = {stall}: must be 0 or more and below 1")
    return round(stall * 255)


