"""Yosys: Verilog to cells of an FPGA family, block by block, each kept in a cache under a digest of its text and the
version of Yosys."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.output import cannot_write

from .blocks import Design
from .families import Family, Utilisation
from .parallel import side_by_side
from .tools import NoRoom, Stopped, ToolError, Usage, run_tool, tool_names, yosys_command

#: Part of every key of the cache: to be raised when the scripts below change.
VERSION = 3
#: Words from which a memory is large.
LARGE = 2048
#: What Yosys 0.70 says of itself where its newer mapper (`abc9_ops -reintegrate`) loses count of a wide net.
ASSERTION = "ERROR: Assert `"
#: Log of the other mapper, where that was needed.
RETRY_LOG = "yosys-retry.log"


@dataclass(frozen=True)
class Block:
    """A synthesised module. `cells`: type → number, without the blocks inside it; `netlist`: its RTLIL; `usage`: what
    its synthesis cost, whenever that was."""

    module: str
    cells: Mapping[str, int]
    utilisation: Utilisation
    netlist: Path
    usage: Usage
    cached: bool

    @property
    def retried(self) -> bool:
        """Whether the family's usual commands failed on it, and its `retry` made it."""
        return (self.netlist.parent / RETRY_LOG).exists()

    @property
    def remark(self) -> str:
        """What a user should know of how it was made, or nothing."""
        return f"{self.module}: Yosys' usual mapper failed, an older one made it" if self.retried else ""


def synthesise(design: Design, module: str, family: Family, cache: Path, boxes: Collection[str] = ()) -> Block:
    """`module` with all below it, flattened, but for `boxes`, which stay instances. Raises `ToolError`."""
    inside = design.closure(module, set(boxes) - {module})
    edge = [name for name in design.modules if name in boxes and name != module
            and any(name in design.children[parent] for parent in inside)]
    tool = re.sub(r"[^\w.]+", "_", tool_names()["yosys"])
    folder = cache / f"{family.name}-{tool}-{VERSION}-{design.digest([*inside, *edge])}"
    cached = (folder / "usage.json").is_file()
    if not cached:
        cache.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix="part-", dir=cache))
        try:
            usage = _run(design, module, inside, edge, family, part)
            # Last: a folder that has it is complete.
            (part / "usage.json").write_text(json.dumps(vars(usage)))
            _keep(part, folder)
        except (KeyboardInterrupt, Stopped, NoRoom, OSError) as error:
            # A tool that failed for another reason leaves its log here.
            shutil.rmtree(part, ignore_errors=True)
            if isinstance(error, OSError):
                raise NoRoom(cannot_write(part, error)) from error
            raise
    cells = read_cells((folder / "stat.json").read_text(), {*design.modules})
    usage = Usage(**json.loads((folder / "usage.json").read_text()))
    return Block(module, cells, family.utilisation(cells), folder / "netlist.il", usage, cached)


def _keep(part: Path, folder: Path) -> None:
    """Makes `part` the folder of the cache, unless somebody else has just made the same."""
    try:
        part.rename(folder)
    except OSError:  # there is one already
        if (folder / "usage.json").is_file():
            shutil.rmtree(part)
        else:
            shutil.rmtree(folder)
            part.rename(folder)


def _run(design: Design, module: str, inside: Sequence[str], edge: Sequence[str], family: Family,
         folder: Path) -> Usage:
    (folder / "block.v").write_text(without_zeroes(design.text(inside)))
    (folder / "boxes.v").write_text(design.text(edge))
    try:
        return _map(family.synth, module, edge, folder, "yosys.log")
    except ToolError as error:
        if not family.retry or ASSERTION not in str(error):
            raise
        return error.usage + _map(family.retry, module, edge, folder, RETRY_LOG)


def _map(synth: str, module: str, edge: Sequence[str], folder: Path, log: str) -> Usage:
    # Yosys keeps wires that are marked, but joins registers that drive them if they are equal: these are marked here.
    script = ["read_verilog block.v", *(["read_verilog -lib boxes.v"] if edge else []), f"hierarchy -top {module}",
              "proc", "select -set kept w:* a:keep %i %ci1:+[Q] w:* %d", "setattr -set keep 1 @kept",
              synth.format(top=module), "delete t:$scopeinfo", "tee -q -o stat.json stat -json",
              f"select -module {module}", "write_rtlil -selected netlist.il"]
    (folder / "synth.ys").write_text("\n".join(script) + "\n")
    return run_tool([*yosys_command(), "synth.ys"], folder, log)


_ZEROES = re.compile(r"^  initial begin : \S+_zero\n    integer zeroed;\n"
                     r"    for \(zeroed = 0; zeroed < (\d+);.*\n  end\n", re.MULTILINE)


def without_zeroes(verilog: str) -> str:
    """`verilog` without the zeroes that large memories start with: an FPGA's memories start so unless told otherwise,
    and Yosys, which takes the loop apart into its words, minutes over them."""
    return _ZEROES.sub(lambda m: m.group(0) if int(m.group(1)) < LARGE else "", verilog)


def read_cells(stat: str, modules: Collection[str] = ()) -> dict[str, int]:
    """Cell type → number from what `stat -json` wrote, without instances of `modules`."""
    design = json.loads(stat)["design"]
    return {cell: count for cell, count in design["num_cells_by_type"].items()
            if cell not in modules and not cell.startswith("$")}


def assemble(design: Design, module: str, family: Family, cache: Path, boxes: Collection[str], folder: Path,
             tell: Callable[[str], None] = lambda text: None, jobs: int = 1) -> tuple[Path, list[Block], Usage]:
    """The netlist of `module` for place and route, `folder`/netlist.json, joined from itself without `boxes` and from
    each of those boxes that it contains, up to `jobs` of which are synthesised at a time. Returns it, the blocks, and
    what joining cost. `tell` is told what begins."""
    names = [name for name in design.closure(module) if name == module or name in boxes]

    def one(numbered: tuple[int, str]) -> Block:
        number, name = numbered
        tell(f"synthesis {number}/{len(names)}: {name}")
        block = synthesise(design, name, family, cache, boxes)
        if block.remark:
            tell(block.remark)
        return block

    blocks = side_by_side(one, enumerate(names, 1), jobs)
    tell("joining the netlists")
    netlist, usage = join(blocks, module, family, folder)
    return netlist, blocks, usage


def join(blocks: Sequence[Block], module: str, family: Family, folder: Path) -> tuple[Path, Usage]:
    """One flat JSON netlist `folder`/netlist.json of `module` from the netlists of all blocks in it; what that cost."""
    script = [*(f"read_verilog -lib {name}" for name in family.library),
              *(f'read_rtlil "{block.netlist.resolve()}"' for block in blocks),
              f"hierarchy -top {module}", "flatten", "delete t:$scopeinfo", "opt_clean", f"select -module {module}",
              "write_json -selected netlist.json"]
    (folder / "join.ys").write_text("\n".join(script) + "\n")
    usage = run_tool([*yosys_command(), "join.ys"], folder, "yosys-join.log")
    return folder / "netlist.json", usage
