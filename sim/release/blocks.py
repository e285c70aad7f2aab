"""Tables inside the pages of docs/, each between two comments that name it:

    <!-- figures: full/attention -->
    | case | … |
    Verilog 0123456789ab of `full`: `spatten-hw bench attention --preset full`
    <!-- end of figures -->

What stands between them is written by `python -m spatten_hw.sim.release write` and by nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"<!-- figures: (?P<name>\S+) -->\n(?P<body>.*?)<!-- end of figures -->", re.DOTALL)
_SOURCE = re.compile(r"^Verilog (?P<digest>[0-9a-f]{12}) of `(?P<preset>\w+)`: `(?P<command>[^`]+)`$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A table of a page: its name, the digest and preset of the Verilog that it was measured on ("" before it was ever
    written), the command that measured it, its cells without the header."""

    name: str
    digest: str
    preset: str
    command: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def blocks(page: str) -> Iterator[Block]:
    """The tables of a page, in order."""
    for match in _BLOCK.finditer(page):
        source = _SOURCE.search(match["body"])
        lines = [tuple(cell.strip() for cell in line.strip("|").split("|"))
                 for line in match["body"].splitlines() if line.startswith("|")]
        header, *rows = lines or [()]
        digest, preset, command = source.group("digest", "preset", "command") if source else ("", "", "")
        yield Block(match["name"], digest, preset, command, header, tuple(rows[1:]))


def replace(page: str, name: str, table: str) -> str:
    """The page with the text of the table `name` replaced. KeyError if it has none of this name."""
    found = False

    def put(match: re.Match[str]) -> str:
        nonlocal found
        if match["name"] != name:
            return match[0]
        found = True
        return f"<!-- figures: {name} -->\n{table}<!-- end of figures -->"

    page = _BLOCK.sub(put, page)
    if not found:
        raise KeyError(name)
    return page


def render(header: list[str], rows: list[list[str]], digest: str, preset: str, command: str) -> str:
    """A table and where it is from, as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\nVerilog {digest} of `{preset}`: `{command}`\n"
