"""Contracts in the Verilog of a simulation: a broken one calls the harness, or ends the run.

The backend writes `if (when) begin if (!holds) $write("promise"); assert (holds); end` on the clock edge. A failing
assertion of Verilator aborts the process, Python and all, and names a line of the generated Verilog. Here the same
place calls `contract_broken(unit, promise)`, a function of the C++ harness (`contracts.h`), or, where there is none
(cocotb), `$fatal` with the same words.
"""

from __future__ import annotations

import re

#: The one task that a simulation calls, as SystemVerilog declares it.
_IMPORT = 'import "DPI-C" function void contract_broken(input string unit, input string promise);\n'
_CHECK = re.compile(r'^    if \((?P<when>[^\n]*)\) begin\n      if \(!(?P<holds>[^\n]*)\)\n'
                    r'        \$write\("(?P<promise>[^"\n]*)"\);\n      assert \((?P=holds)\);\n    end\n',
                    re.MULTILINE)
_ASSERT = re.compile(r"^\s*(?:assert|\$write)\b", re.MULTILINE)


def reported(verilog: str, *, fatal: bool = False) -> str:
    """`verilog` in which a broken contract calls `contract_broken`, or with `fatal` is a fatal error of the simulator.

    Text without contracts stays as it is. Raises ValueError if an assertion is written in another way than expected.
    """
    def call(match: re.Match[str]) -> str:
        when = "" if match["when"] == "1'h1" else f"{match['when']} && "
        act = (f'$fatal(0, "contract broken: {match["promise"]}")' if fatal
               else f'contract_broken($sformatf("%m"), "{match["promise"]}")')
        return f"    if ({when}!{match['holds']}) {act};\n"

    text, found = _CHECK.subn(call, verilog)
    if _ASSERT.search(text):
        raise ValueError("an assertion of the Verilog is not written as the backend used to: sim/harness/contracts.py")
    return text if fatal or not found else _IMPORT + text


def promises(verilog: str) -> list[tuple[str, str]]:
    """(module, promise) of every contract in the text, in its order."""
    found = []
    for module in re.finditer(r"^module (\S+?) ?\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL):
        found += [(module[1], match["promise"]) for match in _CHECK.finditer(module[0])]
    return found
