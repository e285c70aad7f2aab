"""What is done to a netlist between synthesis and placement: what Yosys leaves undone, and what the placer is told."""

from __future__ import annotations

import json
from pathlib import Path

from .devices import Device
from .dsp_registers import pack_product_registers
from .floorplan import floorplan


def prepare(netlist: Path, device: Device) -> None:
    """Rewrites the JSON `netlist` that Yosys wrote for `device`: product registers into multipliers, those of the
    arrays to their places."""
    design = json.loads(netlist.read_text())
    (module,) = (module for module in design["modules"].values() if module["cells"])
    pack_product_registers(module)
    if device.multipliers is not None:
        floorplan(module, device.multipliers)
    netlist.write_text(json.dumps(design))
