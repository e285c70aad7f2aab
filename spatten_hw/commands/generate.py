"""`spatten-hw generate`: Verilog, register map, C header, manifest, files for other tools."""

from __future__ import annotations

import argparse

from .config import add_config_arguments, config_from_args


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "generate", help="write Verilog, register map, C header and manifest",
        description="Writes one configuration: spatten.v, spatten_regs.h, the register map (registers.json, .rdl,\n"
                    ".md, .html) and manifest.json; with --package also files for other tools.\n"
                    "The same configuration gives the same bytes. Nothing is written if anything is wrong.",
        epilog="examples:\n"
               "  spatten-hw generate --preset small -o build/small\n"
               "  spatten-hw generate --preset full --set channels=8 --set max_tokens=2048 -o build/mine\n"
               "  spatten-hw generate --preset eighth --config mine.toml -o build/mine\n"
               "  spatten-hw generate --package vivado --package litex -o build/small",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder to write to; made if missing")
    parser.add_argument("--package", metavar="KIND", action="append", default=[], dest="packages",
                        help="also files for another tool: vivado, fusesoc, litex or ipxact; repeatable")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> None:
    """Generates and prints what was written."""
    config = config_from_args(args)
    from spatten_hw.generate import generate  # the hardware description is slow to import and not needed for --help

    print(generate(config, args.output, args.packages).text())
