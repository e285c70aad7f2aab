"""Model checking of Amaranth components: RTLIL, Yosys, AIGER, ABC.

For what is too large for the k-induction of `formal`: ABC unrolls tens of cycles of a whole block in seconds
(`bounded`, its `bmc3`), and finds by itself the invariants that a proof for all times needs (`prove`, its `pdr`).
Harnesses are those of `formal`. Both programs are in the package pyosys.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from amaranth.lib import wiring

from .formal import rtlil_of

#: A `Cover` becomes an assertion that it never happens, which fails where it does.
_NEVER = """
module \\$cover (input A, input EN);
  \\$assert never (.A(~(A & EN)), .EN(1'b1));
endmodule
"""

_READ = """
design -reset
read_rtlil {name}.il
prep -top top
flatten
delete -output o:*
{cut}
memory_map
async2sync
chformal -lower
opt -full
setundef -undriven -anyseq
techmap
opt -full
design -save both
"""

_WRITE = """
design -load both
chformal {drop} -remove
{more}
opt -full
dffunmap
simplemap
aigmap
opt_clean -purge
write_aiger -zinit -B -no-startoffset -ywmap {file}.aiw {file}.aig
"""

_FAILS = re.compile(r"Output +(\d+) of miter \"\S*\" was asserted in frame +(\d+)")
_REACHED = re.compile(r"Output +(\d+) was asserted in frame")
_HOLDS = "No output asserted in {depth} frames"


class Checks:
    """Harnesses by name, translated into `folder`. `cut`: of a harness, names of wires (patterns of Yosys' `select`)
    that may have any value in every cycle, whatever drives them."""

    def __init__(self, harnesses: Mapping[str, wiring.Component], folder: Path,
                 cut: Mapping[str, Iterable[str]] | None = None):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "never.v").write_text(_NEVER)
        script = ""
        for name, harness in harnesses.items():
            (folder / f"{name}.il").write_text(rtlil_of(harness, with_contracts=False))
            cuts = "\n".join(f"select -assert-min 1 w:{w}\ncutpoint w:{w}" for w in (cut or {}).get(name, ()))
            script += _READ.format(name=name, cut=cuts)
            script += _WRITE.format(drop="-cover", more="", file=name)
            script += _WRITE.format(drop="-assert", more="techmap -map never.v", file=f"{name}_reach")
        (folder / "translate.ys").write_text(script)
        _run([sys.executable, "-c", "from pyosys import libyosys as y; y.run_pass('script translate.ys')"], folder)

    def prove(self, name: str) -> None:
        """Holds for ever, for all inputs."""
        self._holds(name, "pdr", "Property proved")

    def bounded(self, name: str, depth: int) -> None:
        """Holds in the first `depth` cycles after reset, for all inputs."""
        self._holds(name, f"scorr; dc2; bmc3 -F {depth}", _HOLDS.format(depth=depth))

    def reach(self, name: str, depth: int) -> None:
        """Every `Cover` can happen within `depth` cycles: the assumptions do not exclude everything."""
        file = f"{name}_reach"
        output = self._abc(file, f"bmc3 -a -F {depth}")
        covers = self._places(file)
        missed = set(range(len(covers))) - {int(n) for n in _REACHED.findall(output)}
        if not covers or missed:
            raise AssertionError(f"{name}: not reached in {depth} cycles: "
                                 f"{', '.join(covers[n] for n in sorted(missed)) or 'there is no Cover'}")

    def _holds(self, name: str, command: str, success: str) -> None:
        output = self._abc(name, command)
        places = self._places(name)
        if not places:
            raise AssertionError(f"{name}: there is no Assert")
        if success in output:
            return
        fails = _FAILS.search(output)
        raise AssertionError(f"{name}: {places[int(fails[1])]} fails in cycle {fails[2]}" if fails else
                             f"{name}, {command}:\n{_tail(output)}")

    def _places(self, file: str) -> list[str]:
        """Where in the source each property of an AIGER file is stated."""
        rtlil = (self.folder / f"{file.removesuffix('_reach')}.il").read_text()
        stated = re.findall(r'attribute \\src "([^"]*)"\n(?: *attribute .*\n)*? *cell \$check (\S+)', rtlil)
        source = {cell: where for where, cell in stated}
        paths = [path[-1] for path in json.loads((self.folder / f"{file}.aiw").read_text())["asserts"]]
        cells = [next((cell for cell in source if re.search(rf"{re.escape(cell)}(?!\d)", path)), "") for path in paths]
        return [source.get(cell, path) for cell, path in zip(cells, paths, strict=True)]

    def _abc(self, name: str, command: str) -> str:
        return _run([str(_abc_program()), "-q", f"read_aiger {name}.aig; fold; {command}"], self.folder, check=False)


def _abc_program() -> Path:
    spec = importlib.util.find_spec("pyosys")
    if spec is None or spec.origin is None:
        raise RuntimeError("pyosys is not installed: pip install pyosys")
    return Path(spec.origin).parent / "yosys-abc"


def _run(command: list[str], folder: Path, limit: float = 7000, check: bool = True) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False)
    output = done.stdout + done.stderr
    if check and done.returncode != 0:
        raise AssertionError(f"{command[0]} in {folder}:\n{_tail(output)}")
    return output


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-40:])
