"""The FPGAs of the boards: what they hold, from their manufacturers' tables."""

from __future__ import annotations

from dataclasses import dataclass

from .families import FAMILIES, Family, Utilisation
from .floorplan import ECP5_85, DspGrid


@dataclass(frozen=True)
class Device:
    """`holds`: what there is of everything (`Utilisation`). `place`: options of nextpnr-ecp5, or None where no open
    tool of pip places and routes. `multipliers`: where its multipliers lie, if the flow is to say where they go."""

    name: str
    family: Family
    holds: Utilisation
    place: tuple[str, ...] | None = None
    multipliers: DspGrid | None = None


def _ecp5_85(name: str, option: str, package: str, speed: int) -> Device:
    # Lattice FPGA-DS-02012 (ECP5 and ECP5-5G), table 1.1; LUTs as nextpnr counts them: 83,640 in 20,910 slices.
    return Device(name, FAMILIES["ecp5"], Utilisation(luts=83640, flip_flops=83640, dsps=156, brams=208),
                  (option, "--package", package, "--speed", str(speed)), ECP5_85)


#: The ECP5 of the ULX3S; speed grade 6 is the slowest.
LFE5U_85F = _ecp5_85("LFE5U-85F-6", "--85k", "CABGA381", 6)
#: The ECP5-5G of the ECPIX-5; speed grade 8 is the fastest.
LFE5UM5G_85F = _ecp5_85("LFE5UM5G-85F-8", "--um5g-85k", "CABGA554", 8)
#: Xilinx DS180 (7 series), tables 4 and 6.
XC7A100T = Device("xc7a100t", FAMILIES["xc7"], Utilisation(luts=63400, flip_flops=126800, dsps=240, brams=135))
XC7K325T = Device("xc7k325t", FAMILIES["xc7"], Utilisation(luts=203800, flip_flops=407600, dsps=840, brams=445))
