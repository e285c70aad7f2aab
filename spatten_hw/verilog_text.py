"""Repairs of the Verilog text that Yosys writes, each for one reason."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import amaranth


def repaired(text: str) -> str:
    """`text` with relative source references, without empty wires and lines of zeros, with constants that
    simulators see."""
    text = relative_sources(text, source_roots(), sysconfig.get_path("stdlib") + "/")
    return _trigger_constants(_zeros_as_loops(_without_empty_wires(text)))


_EMPTY_WIRE = re.compile(r"^(?: *\(\* src = \"[^\"\n]*\" \*\)\n)? *wire \[-1:0\] [^;\n]*;\n", re.MULTILINE)


def _without_empty_wires(text: str) -> str:
    """Drops Yosys's declarations of signals without bits: `wire [-1:0]` is two bits in Verilog. Nothing uses them."""
    return _EMPTY_WIRE.sub("", text)


_ZEROS = re.compile(r"^  initial begin\n((?:    (\w+)\[(\d+)\] = \d+'h0+;\n){2,})  end\n", re.MULTILINE)


def _zeros_as_loops(text: str) -> str:
    """Clears memories that start at 0 in a loop: the backend writes a line per word, a seventh of `small`'s text."""
    def loop(match: re.Match[str]) -> str:
        words, name, last = match[1].count("\n"), match[2], int(match[3])
        if last != words - 1 or len(set(re.findall(r"^    (\w+)\[", match[1], re.MULTILINE))) > 1:
            return match[0]
        zero = re.search(r"= (\d+)'h", match[1])[1] + "'h0"  # type: ignore[index]
        return (f"  initial begin : {name}_zero\n    integer zeroed;\n"
                f"    for (zeroed = 0; zeroed < {words}; zeroed = zeroed + 1) {name}[zeroed] = {zero};\n  end\n")
    return _ZEROS.sub(loop, text)


_MODULE = re.compile(r"^module .*?^endmodule", re.MULTILINE | re.DOTALL)
_CONSTANT_BLOCK = re.compile(r"^  always @\*\n    (\S.*? = \d+'s?[hbd][0-9a-f_]+;)\n", re.MULTILINE)
_TRIGGER = re.compile(r"if \((\\\$auto\$verilog_backend\S* )\) begin end")


def _trigger_constants(text: str) -> str:
    """Makes `always @*` blocks that only assign a constant run.

    Where some bits of a signal are constant and others are not, the backend writes the constant ones as
    `always @*` with nothing to wait for: a simulator never runs it and the bits stay unknown. Blocks with
    inputs get a trigger register from the backend for the same reason; these get it here.
    """
    def module(match: re.Match[str]) -> str:
        body = match.group(0)
        if not _CONSTANT_BLOCK.search(body):
            return body
        found = _TRIGGER.search(body)
        name = found.group(1) if found else "\\$constant_trigger "
        body = _CONSTANT_BLOCK.sub(
            lambda b: f"  always @* begin\n    if ({name}) begin end\n    {b.group(1)}\n  end\n", body)
        if not found:
            head, rest = body.split(";\n", 1)
            body = f"{head};\n  reg {name} = 0;\n{rest}"
        return body
    return _MODULE.sub(module, text)


_SOURCES = re.compile(r'"([^"\n]*\.py:[^"\n]*)"')
_NO_SOURCE = re.compile(r"^ *\(\* src = \"\" \*\)\n", re.MULTILINE)


def relative_sources(text: str, roots: Sequence[str], library: str) -> str:
    """Makes source references relative to the first of the folders `roots` that contains them; others keep only the
    file's name. Removes those into Python's `library` (state machines have them): they vary with Python's version."""
    def relative(part: str) -> str:
        root = next((root for root in roots if part.startswith(root)), None)
        if root is not None:
            return part.removeprefix(root)
        return "" if part.startswith(library) else part[part.rfind("/") + 1:]

    def references(match: re.Match[str]) -> str:
        return f'"{"|".join(filter(None, map(relative, match.group(1).split("|"))))}"'
    return _NO_SOURCE.sub("", _SOURCES.sub(references, text))


def source_roots() -> list[str]:
    """Where Amaranth and this project are, the deeper folder first: an environment may lie in the project's folder."""
    packages = (Path(path).parent for path in (amaranth.__file__, __file__))
    return sorted({f"{folder.parent}/" for package in packages for folder in (package, package.resolve())},
                  key=len, reverse=True)
