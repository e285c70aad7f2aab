"""`fusesoc`: a CAPI2 core description with a lint target."""

from __future__ import annotations

import re

from .. import __version__
from ..config import SpAttenConfig

#: Verilator's warnings that the generated text gives by design, and why.
WAIVED = {
    "CASEINCOMPLETE": "every signal has a default before its case: nothing is latched",
    "DECLFILENAME": "all modules are in one file",
    "PROCASSINIT": "registers have an initial value and a clocked assignment, as FPGA flows expect",
    "UNUSEDSIGNAL": "aliases that show the fields of a payload by name",
    "WIDTHEXPAND": "operands have their own width and are extended by Verilog",
    "WIDTHTRUNC": "vectors are negated as booleans and shifted before a slice",
}


def core_name(c: SpAttenConfig) -> str:
    """VLNV of the core; the label of the configuration reduced to what such names may hold."""
    return f"::spatten-{re.sub('[^A-Za-z0-9_]+', '_', c.name)}:{__version__}"


def fusesoc_files(c: SpAttenConfig, top: str) -> dict[str, str]:
    """`spatten.core`, beside the Verilog: FuseSoC wants a core's files below the folder of its description."""
    options = "".join(f"        - -Wno-{kind}  # {reason}\n" for kind, reason in WAIVED.items())
    return {f"{top}.core": f"""\
CAPI=2:
# SpAtten accelerator, configuration {c.hash:08x}. Generated; do not edit.
#   fusesoc --cores-root FOLDER run --target lint {core_name(c)}
name: "{core_name(c)}"
description: "SpAtten sparse-attention accelerator: AXI4-Lite slave, {c.channels} AXI4 memory port(s), interrupt"

filesets:
  rtl:
    files: [{top}.v]
    file_type: verilogSource

targets:
  default: &default
    description: "The Verilog, for cores that depend on this one"
    filesets: [rtl]
    toplevel: {top}
  lint:
    <<: *default
    description: "Verilator's lint with all warnings but those named here"
    flow: lint
    flow_options:
      tool: verilator
      verilator_options:
        - -Wall
{options}"""}
