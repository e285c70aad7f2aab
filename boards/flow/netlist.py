"""What is done to a netlist between synthesis and placement: what Yosys leaves undone, and what the placer is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .devices import Device
from .dsp_registers import pack_product_registers
from .floorplan import floorplan

#: End of the name of the file, beside a netlist, that says where its nets are declared.
SOURCES = ".sources.json"


def prepare(netlist: Path, device: Device) -> None:
    """Rewrites the JSON `netlist` that Yosys wrote for `device`: product registers into multipliers, those of the
    arrays to their places, and source references into a file of their own (see `read_sources`)."""
    design = json.loads(netlist.read_text())
    (module,) = (module for module in design["modules"].values() if module["cells"])
    pack_product_registers(module)
    if device.multipliers is not None:
        floorplan(module, device.multipliers)
    netlist.with_suffix(SOURCES).write_text(json.dumps(take_sources(module)))
    netlist.write_text(json.dumps(design))


def take_sources(module: Mapping[str, Any]) -> dict[str, str]:
    """Takes the source references off `module` (of a JSON netlist); returns those of its nets.

    What nextpnr routes depends on every text in the netlist: with other line numbers, or another folder for Yosys'
    library of cells, the same circuit came to other MHz."""
    for thing in (module, *module["cells"].values()):
        thing.get("attributes", {}).pop("src", None)
    found = {name: net.get("attributes", {}).pop("src", "") for name, net in module.get("netnames", {}).items()}
    return {name: source for name, source in found.items() if source}


def read_sources(netlist: Path) -> dict[str, str]:
    """Net → source references, of a netlist that `prepare` has seen; else nothing."""
    path = netlist.with_suffix(SOURCES)
    return json.loads(path.read_text()) if path.exists() else {}
