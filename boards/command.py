"""`spatten-hw build`: a bitstream for a board, with open tools that pip installs; no board is needed for it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from spatten_hw.boards.flow.parallel import processors
from spatten_hw.commands.arguments import count
from spatten_hw.commands.config import add_config_arguments, config_from_args
from spatten_hw.errors import UserError

#: Names only: a board's definition is imported when it is built.
NAMES = ("ulx3s_85f", "ecpix5_85f", "arty_a7", "genesys2")
SEEDS = "1,2,3"

EPILOG = """\
boards:
  ulx3s_85f   ULX3S with LFE5U-85F      complete bitstream
  ecpix5_85f  ECPIX-5 with LFE5UM5G-85F complete bitstream
  arty_a7     Arty A7-100T              synthesis only: place and route need the vendor's tools
  genesys2    Genesys 2, XC7K325T       synthesis only

DIR gets <board>.bit of the seed with the most margin, build.json (utilisation, MHz per seed, critical paths, time and
memory) and work/ (netlists, reports, logs). A placement that misses the clock is routed up to three times; a seed whose
routing always gets stuck is given up and named. Each of --jobs takes up to 2 GB of memory for `small`. Exit 1 if no
seed is routed and reaches the clock: no bitstream then.

examples:
  spatten-hw build --board ulx3s_85f -o build/ulx3s
  spatten-hw build --board ecpix5_85f --frequency 60 --seeds 1,2,3,4,5 -o build/ecpix5
  spatten-hw build --board ulx3s_85f --set max_tokens=256 --set sram_tokens=256 --memory bram -o build/short
"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("build", help="bitstream for an FPGA board", description=__doc__, epilog=EPILOG,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", required=True, metavar="NAME", help=f"{', '.join(NAMES)}")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="folder to write to (default build/NAME)")
    parser.add_argument("--memory", metavar="KIND", help="memory of the system: bram (default) or, on the ULX3S, sdram")
    parser.add_argument("--frequency", metavar="MHZ", type=_mhz, help="clock of the design (default: the board's)")
    add_place_arguments(parser)
    add_config_arguments(parser)
    parser.set_defaults(handler=run)


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """What all that places and routes takes: `args.seeds`, and `args.jobs`, tools at a time."""
    parser.add_argument("--seeds", metavar="N,N,…", type=seed_list, default=seed_list(SEEDS),
                        help=f"seeds of place and route (default {SEEDS})")
    parser.add_argument("--jobs", metavar="N", type=count, default=processors(),
                        help="most tools at a time, each for a unit or a seed (default: one per processor)")


def _mhz(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 500:
        raise argparse.ArgumentTypeError("must be 1 … 500")
    return value


def seed_list(text: str) -> list[int]:
    """An argument type: whole numbers from 0 on, separated by commas, each once."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError("expected whole numbers separated by commas, e.g. 1,2,3")
    return list(dict.fromkeys(int(number) for number in text.split(",")))


def run(args: argparse.Namespace) -> int:
    """Builds; 1 if the clock is missed by every seed."""
    config = config_from_args(args)  # refused before anything else
    if args.board not in NAMES:
        raise UserError(f"--board {args.board}: there is no such board; boards: {', '.join(NAMES)}")
    # The hardware description is slow to import and not needed for --help.
    from spatten_hw.boards.boards import BOARDS
    from spatten_hw.boards.build import build
    from spatten_hw.sim.harness.kept import build_dir
    from spatten_hw.sim.status import Status

    board = BOARDS[args.board]
    chosen = args.preset or args.config or args.settings
    options = "with the options of its configuration given here" if chosen else f"--preset {config.name}"
    kind = args.memory if args.memory is not None else next(iter(board.memories))
    if kind not in board.memories:
        raise UserError(f"--memory {kind}: {board.name} has no such memory; memories: {', '.join(board.memories)}")
    clock_hz = board.clock_hz if args.frequency is None else round(args.frequency * 1e6)
    folder = args.output if args.output is not None else Path("build") / board.name
    with Status() as status:
        record = build(board, config, kind, clock_hz, args.seeds, folder, build_dir() / "synthesis", status.show,
                       args.jobs)
    print(record.text())
    if record.met is None:
        print(f"{board.title}: synthesis only; place and route need the vendor's tools. Wrote {folder / 'build.json'}")
        return 0
    if record.best is None:
        print(f"NOT ROUTED: no seed is, so there is no bitstream; try other --seeds or a smaller "
              f"configuration. Wrote {folder / 'build.json'}")
        return 1
    if not record.met:
        print(f"MISSED: no seed reaches {record.wanted_mhz:g} MHz, so there is no bitstream; lower --frequency, "
              f"try other --seeds. Wrote {folder / 'build.json'}")
        return 1
    print(f"wrote {record.bitstream} and build.json to {folder}; workloads run on it with: spatten-hw run JOB.npz "
          f"--port DEVICE {options}")
    return 0
