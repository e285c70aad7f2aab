"""`--port`: the hardware of a command is a board on a serial line instead of a simulation."""

from __future__ import annotations

import argparse

from spatten_hw.errors import UserError
from spatten_hw.host.link.protocol import DEFAULT_BAUD
from spatten_hw.host.link.serial_transport import SerialTransport
from spatten_hw.sim.engine import TransportFactory
from spatten_hw.sim.golden.integer_engine import Progress


def add_board_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --port and --baud."""
    group = parser.add_argument_group("board")
    group.add_argument("--port", metavar="DEVICE",
                       help="run on the board at this serial port, e.g. /dev/ttyUSB0, instead of a simulation")
    group.add_argument("--baud", type=int, metavar="N",
                       help=f"the baud rate of the board's build (default {DEFAULT_BAUD})")


def check_board_arguments(args: argparse.Namespace) -> None:
    """Refuses what does not go with a board, before anything is computed."""
    if args.port is None:
        if args.baud is not None:
            raise UserError("--baud: there is no --port it could be for")
        return
    if args.engine != "rtl":
        raise UserError(f"--port: engine {args.engine} needs no board; leave --engine away")
    if getattr(args, "timeline", None) is not None:
        raise UserError("--timeline: a board does not show its streams; leave --port away")
    if args.baud is not None and args.baud < 1:
        raise UserError(f"--baud {args.baud}: must be at least 1")


def board_factory(args: argparse.Namespace, progress: Progress | None) -> TransportFactory | None:
    """What opens the board of --port; None without. `progress` shows how much has gone over the line."""
    if args.port is None:
        return None

    def show(sent: int, received: int) -> None:
        if progress is not None:
            progress(sent // 1000, received // 1000, f"kB sent / received, {args.port}")

    return lambda config: SerialTransport.open(args.port, config, baud=args.baud or DEFAULT_BAUD, progress=show)
