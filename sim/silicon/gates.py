"""What every net of a mapped netlist does in the cycles of a trace.

The trace says what registers, memories and inputs held in each cycle; a word holds 64 cycles of a net. So every cell
is computed once for all cycles, in the order of its inputs, without simulating time: what a simulation of the gates
without delays would show, net by net. The same gives a check of the netlist: what a flip-flop is to hold next must be
what the trace says that its register held in the next cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .liberty import Cells
from .liberty_function import compiled
from .mapped import ONE, ZERO, Mapped

BITS = 64


@dataclass(frozen=True)
class Cycles:
    """The cycles of a trace. `count`: how many; `followed`: words whose bit t says that cycle t + 1 of the trace is the
    one after cycle t: not so at the end of a window."""

    count: int
    followed: np.ndarray

    @classmethod
    def of(cls, windows: Sequence[int]) -> Cycles:
        """Windows of so many cycles each, one after the other."""
        bits = np.ones(sum(windows), dtype=np.uint8)
        bits[np.cumsum(windows) - 1] = 0
        return cls(len(bits), pack(bits[None])[0])

    @property
    def steps(self) -> int:
        """Pairs of a cycle and the next."""
        return int(np.bitwise_count(self.followed).sum())


def pack(bits: np.ndarray) -> np.ndarray:
    """Bits [nets, cycles] as words [nets, ⌈cycles/64⌉], the first cycle lowest."""
    padded = np.zeros((bits.shape[0], -(-bits.shape[1] // BITS) * BITS), dtype=np.uint8)
    padded[:, :bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def later(words: np.ndarray) -> np.ndarray:
    """What each net holds a cycle later, where that is in the trace."""
    out = words >> np.uint64(1)
    out[..., :-1] |= words[..., 1:] << np.uint64(BITS - 1)
    return out


@dataclass(frozen=True)
class Activity:
    """Of each net, by number: `toggles` per cycle, and the share of cycles in which it is 1. `words`: its value in
    every cycle. `wrong`: flip-flops that the netlist would have loaded otherwise than the trace shows, in some cycle,
    as (net, cycles); `unknown`: nets that nothing is known of, taken for 0."""

    toggles: np.ndarray
    duty: np.ndarray
    words: np.ndarray
    wrong: tuple[tuple[int, int], ...]
    unknown: tuple[int, ...]


def activity(netlist: Mapped, cells: Cells, known: dict[int, np.ndarray], cycles: Cycles) -> Activity:
    """`known`: net → words, of what the trace shows: registers, inputs, outputs of memories and of boxes."""
    words = np.zeros((netlist.nets, len(cycles.followed)), dtype=np.uint64)
    words[ONE] = ~np.uint64(0)
    for net, value in known.items():
        words[net] = value
    flip_flops = [kind for kind in netlist.groups if cells.by_name[kind].clock]
    unknown = tuple(net for net in netlist.sources if net not in known)
    _settle(netlist, cells, words)
    wrong: list[tuple[int, int]] = []
    for kind in flip_flops:
        cell, pins = cells.by_name[kind], netlist.groups[kind]
        inputs = [pin for pin in cell.inputs if pin in pins]
        (pin, _), = list(cell.outputs.items())[:1]
        if pin not in pins or any(name not in inputs for name in _names(cell.next_state)):
            continue
        load = compiled(cell.next_state, inputs)(*(words[pins[name]] for name in inputs))
        held = later(words[pins[pin]])
        count = np.bitwise_count((load ^ held) & cycles.followed).sum(axis=1)
        wrong += [(int(net), int(n)) for net, n in zip(pins[pin], count, strict=True) if n]
    steps = max(cycles.steps, 1)
    inside = _inside(cycles)
    toggles = np.bitwise_count((words ^ later(words)) & cycles.followed).sum(axis=1) / steps
    duty = np.bitwise_count(words & inside).sum(axis=1) / cycles.count
    return Activity(toggles, duty, words, tuple(wrong), unknown)


def _inside(cycles: Cycles) -> np.ndarray:
    return pack(np.ones((1, cycles.count), dtype=np.uint8))[0]


def _names(function: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in function).split()


def order(netlist: Mapped, cells: Cells) -> Iterator[tuple[str, np.ndarray]]:
    """Cells that are no flip-flops as (type, rows), all that read only what is known before. ValueError if some never
    can be computed."""
    ready = np.zeros(netlist.nets, dtype=bool)
    ready[[ZERO, ONE, *netlist.sources]] = True
    left = {}
    for kind, pins in netlist.groups.items():
        cell = cells.by_name[kind]
        if not cell.clock:
            inputs = [pin for pin in cell.inputs if pin in pins]
            left[kind] = (inputs, np.arange(len(next(iter(pins.values())))))
    while left:
        done = []
        for kind, (inputs, rows) in list(left.items()):
            pins = netlist.groups[kind]
            now = np.logical_and.reduce([ready[pins[pin][rows]] for pin in inputs], initial=True)
            now = np.broadcast_to(now, rows.shape)
            if now.any():
                yield kind, rows[now]
                done += [pins[pin][rows[now]] for pin in cells.by_name[kind].outputs if pin in pins]
                if now.all():
                    del left[kind]
                else:
                    left[kind] = (inputs, rows[~now])
        if not done:
            stuck = {kind: len(rows) for kind, (_, rows) in left.items()}
            raise ValueError(f"{netlist.module}: a loop without a register, or a net that nobody drives: {stuck}")
        ready[np.concatenate(done)] = True


def _settle(netlist: Mapped, cells: Cells, words: np.ndarray) -> None:
    """Computes all cells that are no flip-flops."""
    functions = {}
    for kind, pins in netlist.groups.items():
        inputs = [pin for pin in cells.by_name[kind].inputs if pin in pins]
        functions[kind] = inputs, [(pin, compiled(function, inputs))
                                   for pin, function in cells.by_name[kind].outputs.items()
                                   if pin in pins and not cells.by_name[kind].clock]
    for kind, rows in order(netlist, cells):
        pins = netlist.groups[kind]
        inputs, outputs = functions[kind]
        for pin, function in outputs:
            words[pins[pin][rows]] = function(*(words[pins[name][rows]] for name in inputs))
