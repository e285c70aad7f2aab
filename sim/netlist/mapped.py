"""Synthesis for simulation: a netlist of ECP5 or of standard cells, as Verilog with models of its cells."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.boards.flow.blocks import Design
from spatten_hw.boards.flow.dsp_registers import pack_product_registers
from spatten_hw.boards.flow.families import FAMILIES, Family
from spatten_hw.boards.flow.standard_cells import Liberty
from spatten_hw.boards.flow.synthesis import assemble
from spatten_hw.boards.flow.tools import Usage, run_tool, yosys_command
from spatten_hw.boards.flow.units import unit_modules
from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.build import TOP
from spatten_hw.top import Top
from spatten_hw.verilog import to_verilog

from . import ecp5


@dataclass(frozen=True)
class Netlist:
    """`verilog`: the netlist and models of its cells, module `spatten`. `cells`: type → number. `usage`: what its
    synthesis cost, whenever that was."""

    verilog: str
    cells: dict[str, int]
    usage: Usage


def ecp5_netlist(config: SpAttenConfig, cache: Path, tell: Callable[[str], None] = lambda text: None) -> Netlist:
    """What a board's flow gives to place and route: unit by unit, joined, product registers in their multipliers."""
    def prepare(module: dict) -> None:
        pack_product_registers(module)
        ecp5.check(module)

    return _netlist(config, FAMILIES["ecp5"], cache, tell, prepare, lambda folder: ecp5.models())


def cell_netlist(config: SpAttenConfig, liberty: Path, cache: Path,
                 tell: Callable[[str], None] = lambda text: None) -> Netlist:
    """What `bench area --liberty` counts: standard cells, which do what their `function` in the Liberty file says, and
    large memories as they are."""
    cells = Liberty(liberty)

    def models(folder: Path) -> str:
        script = f"read_liberty -ignore_miss_func {cells.path}\nwrite_verilog -noattr cells.v\n"
        (folder / "cells.ys").write_text(script)
        run_tool([*yosys_command(), "cells.ys"], folder, "yosys-cells.log")
        return (folder / "cells.v").read_text()

    return _netlist(config, cells.family, cache, tell, lambda module: None, models)


def _netlist(config: SpAttenConfig, family: Family, cache: Path, tell: Callable[[str], None],
             prepare: Callable[[dict], None], models: Callable[[Path], str]) -> Netlist:
    tell(f"generating Verilog of '{config.name}'")
    design = Design(to_verilog(Top(config), TOP, jobs=1))
    units = [module for module in unit_modules(TOP).values() if module in design.modules]
    with tempfile.TemporaryDirectory(prefix="netlist-") as name:
        folder = Path(name)
        path, blocks, joining = assemble(design, TOP, family, cache, units, folder, tell)
        netlist = json.loads(path.read_text())
        module = netlist["modules"][TOP]
        prepare(module)
        cells: dict[str, int] = {}
        for cell in module["cells"].values():
            cells[cell["type"]] = cells.get(cell["type"], 0) + 1
        path.write_text(json.dumps(netlist))
        (folder / "write.ys").write_text(
            f"read_json {path.name}\nselect -module {TOP}\nwrite_verilog -selected -noattr -nohex netlist.v\n")
        run_tool([*yosys_command(), "write.ys"], folder, "yosys-write.log")
        text = (folder / "netlist.v").read_text() + models(folder)
        return Netlist(text, cells, sum((block.usage for block in blocks), joining))
