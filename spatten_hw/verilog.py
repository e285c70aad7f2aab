"""The one way to Verilog: every component, in tests and in `generate`, goes through `to_verilog`."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amaranth.back import rtlil, verilog
from amaranth.lib import wiring

from .shared import VerilogPlatform


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog text of `component` as module `name`; streams become `port__valid`, `port__payload`, ….

    The text depends on the design only: source references are made relative to the packages.
    """
    platform = VerilogPlatform(name)
    with _no_collector():
        texts = [rtlil.convert(component, name=name, platform=platform)]
        while platform.pending:
            gc.collect()
            block_name, block = platform.pending.pop(0)
            texts.append(_not_top(rtlil.convert(block, name=block_name, platform=platform)))
    text = verilog._convert_rtlil_text("\n".join(texts))
    return _trigger_constants(_without_empty_wires(_relative_sources(text)))


_EMPTY_WIRE = re.compile(r"^(?: *\(\* src = \"[^\"\n]*\" \*\)\n)? *wire \[-1:0\] [^;\n]*;\n", re.MULTILINE)


def _without_empty_wires(text: str) -> str:
    """Drops what Yosys declares for signals of no bits: `wire [-1:0]` is two bits in Verilog. Nothing uses them."""
    return _EMPTY_WIRE.sub("", text)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Netlists are millions of small objects that live until they are written: collecting finds nothing in them
    and costs half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
        gc.collect()


def _not_top(text: str) -> str:
    """RTLIL of a shared block without the mark of a design's top module."""
    return re.sub(r"^attribute \\top 1\n", "", text, flags=re.MULTILINE)


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


def _relative_sources(text: str) -> str:
    def relative(match: re.Match[str]) -> str:
        parts = match.group(0)[1:-1].split("|")
        kept = [re.sub(r"^.*?/(?=(?:spatten_hw|boards|amaranth|tests|sim)/)", "", p) for p in parts]
        return '"' + "|".join(kept) + '"'
    return re.sub(r'"[^"\n]*\.py:[^"\n]*"', relative, text)


def write_verilog(component: wiring.Component, name: str, path: Path) -> None:
    """Writes `to_verilog(component, name)` to `path`."""
    path.write_text(to_verilog(component, name))
