"""Area and clock of the accelerator's units, and of the whole of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.generate import TOP
from spatten_hw.verilog import to_verilog

from .blocks import Design
from .devices import Device
from .families import Family, Utilisation
from .netlist import prepare
from .parallel import side_by_side
from .place import ROUTINGS, Placement, place_seeds
from .platform import FAKE_TOP, FakePins
from .standard_cells import Liberty, sram_bits
from .synthesis import Block, assemble, synthesise
from .tools import NOTHING, Usage
from .units import repeated_modules, unit_modules

#: Names beside those of the units: all of them and what joins them; and what joins them alone.
WHOLE = "whole"
GLUE = "glue"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Area:
    """A unit on an FPGA family, or in standard cells (`gates` equivalents and `sram_bits`; the utilisation is empty
    then). `copies`: blocks that were synthesised once and counted more often → how often."""

    unit: str
    utilisation: Utilisation
    gates: float
    sram_bits: int
    copies: dict[str, int]
    usage: Usage

    @property
    def as_json(self) -> dict[str, object]:
        return {"unit": self.unit, **self.utilisation.as_json, "gates": round(self.gates), "sram_bits": self.sram_bits,
                "copies": self.copies, **self.usage.as_json}


class Measured:
    """The Verilog of one configuration, synthesised unit by unit. `cache`: folder that netlists are kept in; `jobs`:
    most tools at a time."""

    def __init__(self, config: SpAttenConfig, cache: Path, tell: Tell = lambda text: None, jobs: int = 1):
        from spatten_hw.top import Top  # the hardware description is slow to import

        self.config = config
        self.cache = cache
        self.tell = tell
        self.jobs = jobs
        tell(f"{config.name}: writing Verilog")
        self.design = Design(to_verilog(Top(config), TOP, jobs=jobs))
        self.units = unit_modules()
        modules = list(self.units.values())
        self.boxes = [*modules, *repeated_modules(self.design, modules)]

    def modules(self, unit: str) -> dict[str, int]:
        """Blocks that make up `unit` → how often each occurs in it."""
        if unit == GLUE:
            return {TOP: 1}
        top = self.units.get(unit, TOP)
        return {top: 1} | {name: n for name, n in self.design.occurrences(top).items() if name in self.boxes}

    def inside(self, module: str) -> dict[str, int]:
        """What is flattened into the block `module`, itself included → how often."""
        counts: dict[str, int] = {}

        def walk(name: str, times: int) -> None:
            counts[name] = counts.get(name, 0) + times
            for child, n in self.design.children[name].items():
                if child not in self.boxes:
                    walk(child, times * n)
        walk(module, 1)
        return counts

    def areas(self, units: Sequence[str], family: Family, liberty: Liberty | None = None) -> dict[str, Area]:
        """Each of `units` (a unit's name, `WHOLE` or `GLUE`) → its area on `family`, which is that of `liberty` for
        standard cells."""
        first: dict[str, str] = {}
        for unit in units:
            for module in self.modules(unit):
                first.setdefault(module, unit)
        made = side_by_side(lambda module: self._block(first[module], module, family), first, self.jobs)
        blocks = {block.module: block for block in made}
        return {unit: self._area(unit, blocks, liberty) for unit in units}

    def _area(self, unit: str, blocks: dict[str, Block], liberty: Liberty | None) -> Area:
        total, gates, bits, usage = Utilisation(), 0.0, 0, NOTHING
        copies = {}
        for module, times in self.modules(unit).items():
            block = blocks[module]
            total += block.utilisation * times
            usage += block.usage
            bits += times * sum(n * sram_bits(self.design, [name]) for name, n in self.inside(module).items())
            if liberty is not None:
                gates += times * liberty.gates(block.cells)
            if times > 1:
                copies[module] = times
        return Area(unit, total, gates, bits, copies, usage)

    def _block(self, unit: str, module: str, family: Family) -> Block:
        self.tell(f"{self.config.name}, {family.title}, {unit}: synthesis of {module}")
        block = synthesise(self.design, module, family, self.cache, self.boxes)
        if block.remark:
            self.tell(f"{self.config.name}, {family.title}, {unit}: {block.remark}")
        return block

    def clock(self, unit: str, device: Device, seeds: Sequence[int], mhz: float, folder: Path,
              routings: int = ROUTINGS) -> list[Placement]:
        """Places `unit` (not `GLUE`) behind fake pins on `device`, once per seed, aiming at `mhz`; routes each
        placement until it is reached, at most `routings` times."""
        module = self.units.get(unit, TOP)
        work = folder / f"{self.config.name}-{unit}"
        work.mkdir(parents=True, exist_ok=True)
        pins = to_verilog(FakePins(module, self.design.ports(module)), FAKE_TOP)
        design = Design(self.design.text(self.design.modules) + pins)
        tell = lambda text: self.tell(f"{self.config.name}, {unit}: {text}")  # noqa: E731
        netlist, _, _ = assemble(design, FAKE_TOP, device.family, self.cache, [module, *self.boxes], work, tell,
                                 self.jobs)
        prepare(netlist, device)
        return place_seeds(netlist, device, seeds, mhz, work, tell=tell, routings=routings, jobs=self.jobs)
