"""A board's design from configuration to bitstream: Verilog, synthesis block by block, placement per seed, packing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from spatten_hw.boards.board import Board
from spatten_hw.boards.flow.blocks import Design
from spatten_hw.boards.flow.estimate import check_fit
from spatten_hw.boards.flow.netlist import prepare
from spatten_hw.boards.flow.place import place_seeds
from spatten_hw.boards.flow.record import Record
from spatten_hw.boards.flow.synthesis import assemble
from spatten_hw.boards.flow.tools import NoRoom, ecppack_command, nextpnr_command, run_tool, yosys_command
from spatten_hw.boards.flow.units import unit_modules
from spatten_hw.boards.shell.system import System
from spatten_hw.boards.top import SYSTEM, TOP, BoardTop
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.output import check_folder, new_folders, writing
from spatten_hw.verilog import YOSYS, to_verilog
from spatten_hw.verilog_text import repaired

#: What a build leaves in its folder; tools' files and logs are in `WORK` there.
RECORD = "build.json"
WORK = "work"


def build(board: Board, config: SpAttenConfig, kind: str, clock_hz: int, seeds: Sequence[int], folder: Path,
          cache: Path, tell: Callable[[str], None], jobs: int = 1) -> Record:
    """Builds `config` with memory `kind` at `clock_hz` for `board` in `folder`: `<board>.bit` of the best seed if it
    meets every clock (else none), and `build.json`. On boards that nothing here can place, synthesis alone. Up to
    `jobs` tools run at a time.

    Raises `UserError` before any work if the configuration is too big for the board, the folder cannot be written or a
    tool is missing, and `ToolError` if one fails. What failed for want of room leaves no files of tools behind."""
    start = time.monotonic()
    check_folder(folder, [WORK], [RECORD, f"{board.name}.bit"])
    check_fit(config, board.device)
    yosys_command()
    if board.device.place is not None:
        nextpnr_command()
        ecppack_command()
    system = System(config, clock_hz=clock_hz, memory=board.memories[kind](clock_hz))
    tell("writing Verilog")
    board_text, constraints = board_verilog(board, system, kind)
    design = Design(board_text + to_verilog(system, SYSTEM))
    # Only now is nothing left that the user could have got wrong.
    work = folder / WORK
    with new_folders(folder):
        try:
            with writing(work), new_folders(work):
                record = _build(board, config, design, constraints, kind, clock_hz, seeds, folder, cache, tell, jobs)
                record = replace(record, elapsed=time.monotonic() - start)
                record.write(folder / RECORD)
        except UserError as error:
            if isinstance(error, NoRoom) or isinstance(error.__cause__, OSError):
                shutil.rmtree(work, ignore_errors=True)
            raise
    return record


def _build(board: Board, config: SpAttenConfig, design: Design, constraints: str, kind: str, clock_hz: int,
           seeds: Sequence[int], folder: Path, cache: Path, tell: Callable[[str], None], jobs: int) -> Record:
    """The tools' part of `build`, in folders that are there; without the time that all took."""
    work = folder / WORK
    bitstream = folder / f"{board.name}.bit"
    bitstream.unlink(missing_ok=True)
    units = list(unit_modules(SYSTEM).values())
    netlist, blocks, joining = assemble(design, TOP, board.device.family, cache, [SYSTEM, *units], work, tell,
                                        jobs)
    record = Record(board.name, config, board.device, kind, clock_hz / 1e6, blocks, (), None, joining, jobs)
    if board.device.place is not None:
        prepare(netlist, board.device)
        lpf = work / f"{TOP}.lpf"
        lpf.write_text(constraints)
        placements = place_seeds(netlist, board.device, seeds, clock_hz / 1e6, work, lpf, tell, jobs=jobs)
        record = replace(record, placements=placements)
        best = record.best
        if best is not None and best.met and best.config is not None:
            tell("packing the bitstream")
            usage = run_tool([*ecppack_command(), "--compress", "--input", best.config.name, "--bit",
                              f"{TOP}.bit"], work, "ecppack.log")
            (work / f"{TOP}.bit").replace(bitstream)
            record = replace(record, bitstream=bitstream.name, other=record.other + usage)
    return record


def board_verilog(board: Board, system: System, kind: str) -> tuple[str, str]:
    """Verilog of the board's top, without the system, and its pin constraints."""
    os.environ.setdefault("AMARANTH_USE_YOSYS", YOSYS)
    plan = board.platform().prepare(BoardTop(board, system, kind), TOP, debug_verilog=True)
    name = next(name for name in (f"{TOP}.v", f"{TOP}.debug.v") if name in plan.files)
    constraints = next(content for path, content in plan.files.items() if path.endswith((".lpf", ".xdc")))
    return repaired(_text(plan.files[name])), _text(constraints)


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content
