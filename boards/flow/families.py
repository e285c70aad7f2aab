"""What the FPGA families have, and what a netlist's cells take of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Utilisation:
    """What a netlist takes of an FPGA. `luts`: look-up tables of the family (4 inputs on ECP5, 6 on Xilinx), of
    which `carry` in adders (ECP5) and `lut_ram` as memory; `brams` in blocks of 18 kbit on ECP5, of 36 kbit on
    Xilinx, where halves are counted."""

    luts: int = 0
    carry: int = 0
    lut_ram: int = 0
    flip_flops: int = 0
    dsps: int = 0
    brams: float = 0

    def __add__(self, other: Utilisation) -> Utilisation:
        return Utilisation(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, times: int) -> Utilisation:
        return Utilisation(*(getattr(self, f.name) * times for f in fields(self)))

    @property
    def as_json(self) -> dict[str, float]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Family:
    """`synth`: Yosys commands that map module `{top}`, flattened, without pads. `weights`: cell type → what one
    takes; cells not named take nothing that is counted (multiplexers beside the
    LUTs, wires). `library`: Verilog of the cells, in Yosys' share folder. `retry`: other commands, for a module on
    which those of `synth` end in an assertion of Yosys itself."""

    name: str
    title: str
    synth: str
    weights: Mapping[str, Utilisation]
    library: tuple[str, ...]
    retry: str = ""

    def utilisation(self, cells: Mapping[str, int]) -> Utilisation:
        """What `cells` (cell type → number) take."""
        total = Utilisation()
        for cell, count in cells.items():
            total += self.weights.get(cell, Utilisation()) * count
        return total


# A CCU2C is two LUTs with their carry chain. A TRELLIS_DPR16X4 is four LUTs, and its write port occupies the two LUTs
# of a third slice (Project Trellis; nextpnr's packer).
_ECP5 = {
    "LUT4": Utilisation(luts=1),
    "CCU2C": Utilisation(luts=2, carry=2),
    "TRELLIS_DPR16X4": Utilisation(luts=6, lut_ram=6),
    "TRELLIS_FF": Utilisation(flip_flops=1),
    "MULT18X18D": Utilisation(dsps=1),
    "DP16KD": Utilisation(brams=1), "PDPW16KD": Utilisation(brams=1),
}


def _lut_ram(luts: int) -> Utilisation:
    return Utilisation(luts=luts, lut_ram=luts)


# LUTs of distributed memories: UG474 (7 series) and UG574 (UltraScale), "Distributed RAM".
_XILINX: dict[str, Utilisation] = {
    **dict.fromkeys([*(f"LUT{n}" for n in range(1, 7)), "LUT6_2"], Utilisation(luts=1)),
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E", "RAM32X1S", "RAM64X1S"), _lut_ram(1)),
    **dict.fromkeys(("RAM32X1D", "RAM64X1D", "RAM128X1S"), _lut_ram(2)),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S"), _lut_ram(4)),
    **dict.fromkeys(("RAM32M16", "RAM64M8", "RAM256X1D", "RAM64X8SW", "RAM512X1S"), _lut_ram(8)),
    **dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE", "LDCE", "LDPE"), Utilisation(flip_flops=1)),
    **dict.fromkeys(("DSP48E1", "DSP48E2"), Utilisation(dsps=1)),
    **dict.fromkeys(("RAMB18E1", "RAMB18E2"), Utilisation(brams=0.5)),
    **dict.fromkeys(("RAMB36E1", "RAMB36E2"), Utilisation(brams=1)),
}


# The mapper that came before abc9, which does not know the delays of carry chains and memories.
_ECP5_RETRY = """synth_ecp5 -nowidelut -run begin:map_luts -top {top}
abc -dress -lut 4
clean
synth_ecp5 -nowidelut -run map_cells: -top {top}"""
_XILINX_RETRY = """{synth} -run begin:map_luts
opt_expr -mux_undef -noclkinv
abc -dress -luts 2:2,3,6:5,10,20
clean
xilinx_srl -fixed -minlen 3
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
xilinx_dffopt
opt_lut_ins -tech xilinx
{synth} -run finalize:"""


def _xilinx(name: str, title: str) -> Family:
    synth = f"synth_xilinx -family {name} -flatten -noiopad -noclkbuf -top {{top}}"
    return Family(name, title, synth, _XILINX, ("+/xilinx/cells_sim.v", "+/xilinx/cells_xtra.v"),
                  _XILINX_RETRY.replace("{synth}", synth))


FAMILIES: dict[str, Family] = {family.name: family for family in (
    # Four-input LUTs only: wider ones are pairs of them side by side with an extra multiplexer, which takes 3 % more
    # LUTs and leaves the placer 5,000 pairs to keep together in `small`; most of a path is distance anyway.
    Family("ecp5", "Lattice ECP5", "synth_ecp5 -nowidelut -top {top}", _ECP5,
           ("+/lattice/cells_sim_ecp5.v", "+/lattice/cells_bb_ecp5.v"), _ECP5_RETRY),
    _xilinx("xc7", "Xilinx 7 series"),
    _xilinx("xcup", "Xilinx UltraScale+"),
)}
