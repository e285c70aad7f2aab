"""Area of a configuration: by synthesis, or in no time by the laws that were fitted to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.boards.flow.area import WHOLE, Measured
from spatten_hw.boards.flow.estimate import estimate
from spatten_hw.boards.flow.families import FAMILIES
from spatten_hw.boards.flow.standard_cells import Liberty
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.sim.harness.kept import build_dir

from .fields import one_of, text
from .values import Check

BY = ("synthesis", "law")
AREA_FIELDS: dict[str, Check] = {"by": one_of(lambda: BY), "target": one_of(lambda: list(FAMILIES)), "liberty": text}


@dataclass(frozen=True)
class AreaChoice:
    """`by`: "synthesis" (Yosys, minutes a configuration) or "law" (the fitted laws, nothing at all; on an FPGA alone);
    `target`: FPGA family; `liberty`: file of standard cells instead, "" for none, of these contents (`digest`)."""

    by: str = "synthesis"
    target: str = "ecp5"
    liberty: str = ""
    digest: str = ""

    @classmethod
    def of(cls, source: str, folder: Path, by: str = "synthesis", target: str = "", liberty: str = "") -> AreaChoice:
        """What the file `source` in `folder` says. Raises `UserError` where it contradicts itself."""
        if not liberty:
            return cls(by, target or "ecp5")
        if by == "law" or target:
            raise UserError(f"{source}: area: liberty is for synthesis to standard cells, it does not go with "
                            + ('by = "law"' if by == "law" else "target") + "; leave one out")
        path = Path(liberty) if Path(liberty).is_file() else folder / liberty
        if not path.is_file():
            raise UserError(f"{source}: area.liberty: there is no file {liberty}, beside the sweep or here")
        return cls(by, "", str(path.resolve()), Liberty(path).digest)


def measure_area(config: SpAttenConfig, choice: AreaChoice, tell: Callable[[str], None]) -> dict[str, object]:
    """The columns of an area (`metrics.METRICS`, without the kind)."""
    if choice.by == "law":
        return _fpga(estimate(config, choice.target).as_json)
    liberty = liberty_of(choice) if choice.liberty else None
    measured = Measured(config, build_dir() / "synthesis", tell)
    if liberty is None:
        return _fpga(measured.areas([WHOLE], FAMILIES[choice.target])[WHOLE].as_json)
    area = measured.areas([WHOLE], liberty.family, liberty)[WHOLE]
    return {"gates": round(area.gates), "sram_bits": area.sram_bits}


def liberty_of(choice: AreaChoice) -> Liberty:
    """The standard cells, which must be those that the sweep was begun with. Raises `UserError`."""
    liberty = Liberty(Path(choice.liberty))
    if liberty.digest != choice.digest:
        raise UserError(f"{choice.liberty}: is not the file that the sweep was begun with; begin it again")
    return liberty


def _fpga(found: dict[str, float] | dict[str, object]) -> dict[str, object]:
    return {name: found[name] for name in ("luts", "flip_flops", "dsps", "brams")}
