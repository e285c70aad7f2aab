"""A block of the design on standard cells under a run: what its nets did, what that cost, its slowest path."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import sta
from .buffers import buffered
from .cacti import Cacti
from .gates import Activity
from .liberty import Cells
from .mapped import ONE, Mapped, MemoryCell
from .memories import Shape
from .once import once
from .power import clock_energy
from .power import power as measured
from .sta_report import Stage, Timing
from .wires import wire_pf


@dataclass(frozen=True)
class Block:
    """A synthesised module by itself. `area`: of its cells, in the Liberty file's unit, and `buffer_area` of the
    buffers that its wide nets need; `flip_flops`; `pins`: capacitance of all input pins, in pF; `clock`: pJ per cycle
    of the clock pins, of the Liberty file's process; `memories`: shape → number."""

    module: str
    area: float
    buffer_area: float
    flip_flops: int
    pins: float
    clock: float
    memories: dict[Shape, int]

    @property
    def as_json(self) -> dict[str, Any]:
        return vars(self) | {"memories": [[*vars(shape).values(), n] for shape, n in self.memories.items()]}

    @classmethod
    def of_json(cls, found: dict[str, Any]) -> Block:
        return cls(**found | {"memories": {Shape(*sizes): n for *sizes, n in found["memories"]}})


@dataclass(frozen=True)
class Energy:
    """What a block takes in a run, per cycle in pJ of the Liberty file's process: `internal`, `switching` (of both,
    `sequential` is the flip-flops', and of that `clock` their clock pins'); `leakage` in W. `sram`: pJ per cycle of
    its memories, at CACTI's node; `reads`, `writes`: whole words per cycle, of all memories. `wrong`: flip-flops that
    the netlist would load otherwise than the trace shows, in `wrong_cycles` cycles together; `toggles`: mean of all
    nets, per cycle."""

    internal: float
    switching: float
    sequential: float
    clock: float
    leakage: float
    sram: float
    reads: float
    writes: float
    wrong: int
    wrong_cycles: int
    toggles: float

    @property
    def logic(self) -> float:
        return self.internal + self.switching


def shape_of(memory: MemoryCell) -> Shape:
    return Shape(memory.words, memory.width, max(1, len(memory.reads)), max(1, len(memory.writes)))


def block(netlist: Mapped, cells: Cells) -> Block:
    """The sizes of a netlist."""
    wide, _ = buffered(netlist, cells)
    area, with_buffers = (sum(n * cells.by_name[kind].area for kind, n in each.cells.items())
                          for each in (netlist, wide))
    memories: dict[Shape, int] = {}
    for memory in netlist.memories:
        memories[shape_of(memory)] = memories.get(shape_of(memory), 0) + 1
    return Block(netlist.module, area, with_buffers - area,
                 sum(n for kind, n in netlist.cells.items() if cells.by_name[kind].clock),
                 sum(n * sum(cells.by_name[kind].capacitance.values()) for kind, n in wide.cells.items()),
                 clock_energy(netlist, cells, wire_pf(netlist, cells)), memories)


def accesses(netlist: Mapped, duty: np.ndarray, toggles: np.ndarray) -> list[tuple[Shape, float, float]]:
    """Of each memory: reads and writes of whole words per cycle. A memory that is read without a clock is read when its
    address changes; a write of some of the bits counts as that part."""
    found = []
    for memory in netlist.memories:
        if memory.registered:
            reads = sum(float(duty[enable]) for enable, _, _ in memory.reads)
        else:
            reads = sum(min(1.0, float(toggles[list(address)].sum())) for _, _, address in memory.reads)
        writes = sum(float(np.mean(duty[list(enables)])) for enables, _, _ in memory.writes)
        found.append((shape_of(memory), reads, writes))
    return found


def energy(netlist: Mapped, cells: Cells, activities: Sequence[Activity], macros: Cacti) -> Energy:
    """Mean over `activities`: of several instances of the block."""
    toggles = np.mean([a.toggles for a in activities], axis=0)
    duty = np.mean([a.duty for a in activities], axis=0)
    duty[ONE] = 1.0
    wide, repeats = buffered(netlist, cells)
    source = np.arange(wide.nets)
    source[list(repeats)] = list(repeats.values())
    source[netlist.nets:] = np.where(source[netlist.nets:] < netlist.nets, source[netlist.nets:], 0)
    power = measured(wide, cells, toggles[source], wire_pf(netlist, cells))
    sram = reads = writes = 0.0
    for shape, read, write in accesses(netlist, duty, toggles):
        macro = macros.macro(shape)
        sram += read * macro.read + write * macro.write
        reads, writes = reads + read, writes + write
    return Energy(power.internal, power.switching, power.sequential, power.clock, power.leakage, sram, reads, writes,
                  sum(len(a.wrong) for a in activities), sum(n for a in activities for _, n in a.wrong),
                  float(toggles[2:].mean()) if len(toggles) > 2 else 0.0)


def slowest(netlist: Callable[[], Mapped], cells: Cells, access: Mapping[Shape, float], key: str) -> Timing:
    """The slowest path, with buffers. `access`: ns in which a memory of a shape answers, in the Liberty file's
    process; a memory without a clock adds that to what comes out of its address, which is not followed."""
    def analysed() -> Mapping[str, object]:
        unit = netlist()
        wide, _ = buffered(unit, cells)
        arrival = {net: access[shape_of(memory)] for memory in unit.memories for _, data, _ in memory.reads
                   for net in data if net > ONE}
        return sta.analyse(wide, cells, arrival).as_json
    late = sorted((str(shape), round(ns, 4)) for shape, ns in access.items())
    digest = hashlib.sha256(f"{key} {late} {sta.digest()}".encode()).hexdigest()[:16]
    found = once(f"timing-{digest}", analysed)
    return Timing(found["ns"], found["start"], found["end"], tuple(Stage(*stage) for stage in found["stages"]))


def netlist_key(netlist: Path, cells: Cells) -> str:
    """What names a netlist that is kept under a digest of its text, and the cells."""
    return f"{netlist.parent.name} {hashlib.sha256(cells.path.read_bytes()).hexdigest()[:12]}"
