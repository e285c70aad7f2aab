"""A unit's netlist beside the trace of its RTL: what each of its registers, memories and inputs held."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from spatten_hw.hierarchy import ModuleText

from .mapped import Mapped
from .vcd import Trace

#: Scope that Verilator puts round a design.
ROOT = "TOP"


def instances(design: dict[str, ModuleText], top: str, module: str) -> list[str]:
    """Where `module` is in the design below `top`: paths of instances, in order."""
    found: list[str] = []

    def walk(here: str, path: str) -> None:
        if here == module:
            found.append(path)
            return
        for name, child in design[here].instances.items():
            walk(child, f"{path}.{name.strip(chr(92) + ' ')}")
    walk(top, f"{ROOT}.{top}")
    return found


def observed(netlist: Mapped, trace: Trace, path: str, windows: Sequence[tuple[int, int]],
             verilog: Callable[[str], str]) -> dict[int, np.ndarray]:
    """Net → words (`gates.pack`), of all `netlist.sources` that the trace of the instance `path` has by one of their
    names. `verilog`: text of the module that an instance is of, by its path."""
    place: dict[int, tuple[str, int]] = {}
    for net, names in netlist.sources.items():
        for name, bit in names:
            signal = f"{path}.{name}"
            if _NUMBER.search(signal):
                signal = _other_name(signal, verilog)
            var = trace.signals.get(signal)
            if var is not None and bit < var.width:
                place[net] = signal, bit
                break
    values = trace.values({signal for signal, _ in place.values()}, windows)
    return {net: values[signal][bit] for net, (signal, bit) in place.items()}


#: What Yosys calls the register of a memory's read port; Verilator traces nothing that begins with an underscore.
_NUMBER = re.compile(r"\.(_\d+_)$")


def _other_name(signal: str, verilog: Callable[[str], str]) -> str:
    """The signal that such a register is assigned to."""
    scope, _, name = signal.rpartition(".")
    found = re.search(rf"^ assign (\\?\S+) = {name};$", re.sub(r" +", " ", verilog(scope)), re.MULTILINE)
    return signal if found is None else f"{scope}.{found[1].lstrip(chr(92))}"


def module_of(design: dict[str, ModuleText], top: str, path: str) -> str:
    """The module that the instance `path` is of."""
    here = top
    for name in path.split(".")[2:]:
        inside = {instance.strip(chr(92) + " "): module for instance, module in design[here].instances.items()}
        here = inside[name]
    return here
