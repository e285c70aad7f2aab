"""A unit's mapped netlist as arrays: nets by number, cells by type, memories with their ports."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spatten_hw.boards.flow.tools import run_tool, yosys_command
from spatten_hw.errors import UserError

from .liberty import Cells

#: Nets that are constant; every other net has a number from 2 on, as Yosys gives it.
ZERO, ONE = 0, 1


@dataclass(frozen=True)
class MemoryCell:
    """A memory left as it is: SRAM. `words` × `width`; nets of each read port (enable, data, address), of each write
    port (enable bits, data, address); `registered`: reads answer a cycle later."""

    name: str
    words: int
    width: int
    reads: tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...]
    writes: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...]
    registered: bool


@dataclass(frozen=True)
class Mapped:
    """The netlist of one module. `groups`: cell type → its instances' nets, pin → array; `names`: net → a name in the
    design, (signal, bit); `instances`: cell type → names; `inputs`, `outputs`: port → nets; `boxes`: modules inside
    that have netlists of their own → how many, and `open`: nets that these drive. `sources`: net that a register, a
    memory, a box or an input drives → all its names."""

    module: str
    nets: int
    groups: dict[str, dict[str, np.ndarray]]
    names: dict[int, tuple[str, int]]
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]
    memories: tuple[MemoryCell, ...]
    boxes: dict[str, int]
    open: dict[int, tuple[str, int]]
    sources: dict[int, list[tuple[str, int]]]

    @property
    def cells(self) -> dict[str, int]:
        """Cell type → number."""
        return {kind: len(next(iter(pins.values()))) for kind, pins in self.groups.items()}


def read_mapped(netlist: Path, cells: Cells, outputs: Callable[[str], set[str]] = lambda module: set()) -> Mapped:
    """Of an RTLIL netlist that `boards.flow.synthesis` made with standard cells. `outputs`: those of a module that has
    a netlist of its own. Raises `UserError` if the Liberty file does not have its cells."""
    with tempfile.TemporaryDirectory(prefix="silicon-") as name:
        folder = Path(name)
        (folder / "json.ys").write_text(f'read_rtlil "{netlist.resolve()}"\nwrite_json netlist.json\n')
        run_tool([*yosys_command(), "json.ys"], folder, "yosys-json.log")
        modules = json.loads((folder / "netlist.json").read_text())["modules"]
    (module, content), = ((n, m) for n, m in modules.items() if m["cells"])
    return of_json(module, content, cells, outputs)


def of_json(module: str, content: Mapping[str, Any], cells: Cells,
            outputs: Callable[[str], set[str]] = lambda module: set()) -> Mapped:
    """Of a module of Yosys' JSON."""
    kinds: dict[str, dict[str, list[int]]] = {}
    memories: list[MemoryCell] = []
    boxes: dict[str, int] = {}
    open_nets: dict[int, tuple[str, int]] = {}
    used = 2
    for name, cell in content["cells"].items():
        kind = cell["type"]
        if kind == "$mem_v2":
            memories.append(_memory(name, cell))
        elif kind in cells.by_name:
            pins = kinds.setdefault(kind, {})
            for pin, bits in cell["connections"].items():
                pins.setdefault(pin, []).append(_net(bits[0]) if bits else -1)
        elif kind.startswith("$"):
            raise UserError(f"--liberty {cells.path}: has no cell for {kind} of {module}")
        else:
            boxes[kind] = boxes.get(kind, 0) + 1
            driven = outputs(kind)
            for pin, bits in cell["connections"].items():
                if pin in driven:
                    open_nets |= {_net(bit): (f"{name}.{pin}", n) for n, bit in enumerate(bits)}
    ports: dict[str, dict[str, list[int]]] = {"input": {}, "output": {}}
    for name, port in content["ports"].items():
        ports[port["direction"]][name] = [_net(bit) for bit in port["bits"]]
    registers = [net for kind, pins in kinds.items() if cells.by_name[kind].clock
                 for pin in cells.by_name[kind].outputs for net in pins.get(pin, [])]
    read = [net for memory in memories for _, data, _ in memory.reads for net in data]
    sources: dict[int, list[tuple[str, int]]] = {
        net: [] for net in [*registers, *read, *open_nets, *(n for nets in ports["input"].values() for n in nets)]
        if net > ONE}
    names: dict[int, tuple[str, int]] = {}
    for name, net in content["netnames"].items():
        for n, bit in enumerate(net["bits"]):
            if isinstance(bit, int):
                used = max(used, bit + 1)
                if bit in sources:
                    sources[bit].append((name, n))
                if not net["hide_name"]:
                    old = names.get(bit)
                    if old is None or _worse(old[0], name):
                        names[bit] = (name, n)
    groups = {kind: {pin: np.array(nets, dtype=np.int64) for pin, nets in pins.items()} for kind, pins in kinds.items()}
    return Mapped(module, used, groups, names, ports["input"], ports["output"], tuple(memories), boxes, open_nets,
                  sources)


def _net(bit: int | str) -> int:
    """0 and x are one thing to a netlist: what no one drives is tied to ground."""
    return bit if isinstance(bit, int) else int(bit == "1")


def _worse(old: str, new: str) -> bool:
    """Whether `new` says more than `old` to a reader: fewer names that a tool gave, then the shorter path."""
    def rank(name: str) -> tuple[bool, int, int]:
        return "$" in name or name.rsplit(".", 1)[-1].startswith("_"), name.count("."), len(name)
    return rank(new) < rank(old)


def _memory(name: str, cell: Mapping[str, Any]) -> MemoryCell:
    parameters, pins = cell["parameters"], cell["connections"]
    number = {key: int(parameters[key], 2) for key in ("ABITS", "WIDTH", "SIZE", "RD_PORTS", "WR_PORTS")}
    width, address = number["WIDTH"], number["ABITS"]

    def part(pin: str, port: int, size: int) -> tuple[int, ...]:
        return tuple(_net(bit) for bit in pins[pin][port * size:(port + 1) * size])
    reads = tuple((part("RD_EN", p, 1)[0], part("RD_DATA", p, width), part("RD_ADDR", p, address))
                  for p in range(number["RD_PORTS"]))
    writes = tuple((part("WR_EN", p, width), part("WR_DATA", p, width), part("WR_ADDR", p, address))
                   for p in range(number["WR_PORTS"]))
    return MemoryCell(name, number["SIZE"], width, reads, writes, "1" in parameters["RD_CLK_ENABLE"])
