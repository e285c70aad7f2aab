"""`python -m spatten_hw.boards.simulation`: a simulated board at a pseudo-terminal, for a trial without a real one.

    $ python -m spatten_hw.boards.simulation --preset small
    the board is at /dev/pts/7; in another terminal:
      spatten-hw run attention.npz --preset small --port /dev/pts/7 --baud 9600
"""

from __future__ import annotations

import argparse
import sys
import time

from spatten_hw.boards.shell.block_ram import BlockRam
from spatten_hw.boards.shell.sdram import Sdram
from spatten_hw.boards.shell.system import System, SystemMemory
from spatten_hw.commands.config import add_config_arguments, config_from_args
from spatten_hw.config import ConfigError
from spatten_hw.errors import UserError
from spatten_hw.sim.status import Status

from .board import SimulatedBoard

#: The clock it says it has, and clocks per bit of its line: as few as the receiver works with.
CLOCK_HZ, CLOCKS_PER_BIT = 25_000_000, 4
#: How fast the line is in real time, about: what a host should expect of it.
HOST_BAUD = 9600


def main(argv: list[str] | None = None) -> int:
    """Runs until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m spatten_hw.boards.simulation", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", metavar="KIB", default="256",
                        help="KiB of block RAM, or 'sdram': 32 MiB behind the SDRAM controller (default 256)")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long (default: when interrupted)")
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    try:
        config = config_from_args(args)
        system = System(config, clock_hz=CLOCK_HZ, baud=CLOCK_HZ // CLOCKS_PER_BIT,
                        memory=_memory(args.memory))
        with Status() as status, SimulatedBoard(system, progress=status.show) as board:
            choice = f"--preset {config.name}" if args.config is None and not args.settings else "(the same settings)"
            print(f"the board is at {board.port}; in another terminal:\n"
                  f"  spatten-hw run FILE.npz {choice} --port {board.port} --baud {HOST_BAUD}", flush=True)
            _watch(board, status, args.seconds)
    except (UserError, ConfigError, ValueError) as error:
        print(f"spatten_hw.boards.simulation: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 0


def _memory(text: str) -> SystemMemory:
    if text == "sdram":
        return Sdram(CLOCK_HZ)
    if not text.isdecimal() or not 1 <= int(text) <= 65536:
        raise UserError(f"--memory {text}: give KiB, 1 … 65536, or sdram")
    return BlockRam(int(text) * 1024)


def _watch(board: SimulatedBoard, status: Status, seconds: float | None) -> None:
    start = time.monotonic()
    shown = (0, 0)
    while seconds is None or time.monotonic() - start < seconds:
        time.sleep(0.5)
        if board.characters != shown:
            shown = board.characters
            status.show(f"cycle {board.cycles}: {shown[0]} characters in, {shown[1]} out")


if __name__ == "__main__":
    sys.exit(main())
