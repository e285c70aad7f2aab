"""The one way to Verilog: every component, in tests and in `generate`, goes through `to_verilog`."""

from __future__ import annotations

import re
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring



def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog text of `component` as module `name`; streams become `port__valid`, `port__payload`, ….

    The text depends on the design only: source references are made relative to the packages.
    """
    text = verilog.convert(component, name=name, emit_src=True, strip_internal_attrs=False)
    return _relative_sources(text)


def _relative_sources(text: str) -> str:
    def relative(match: re.Match[str]) -> str:
        parts = match.group(0)[1:-1].split("|")
        kept = [re.sub(r"^.*?/(?=(?:spatten_hw|boards|amaranth|tests|sim)/)", "", p) for p in parts]
        return '"' + "|".join(kept) + '"'
    return re.sub(r'"[^"\n]*\.py:[^"\n]*"', relative, text)


def write_verilog(component: wiring.Component, name: str, path: Path) -> None:
    """Writes `to_verilog(component, name)` to `path`."""
    path.write_text(to_verilog(component, name))
