"""Component → shared library: one block compiled by Verilator with `block.cpp` around it.

Kept and found again as the accelerator's libraries are (`kept.py`): by a hash of Verilog, harness and flags. A
second, quicker key of a block made from numbers and configurations is a hash of the sources, so that unchanged
blocks are not even converted to Verilog.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from spatten_hw.config import SpAttenConfig
from spatten_hw.shared import only_asked
from spatten_hw.source_tree import sources_digest

from . import kept, variant
from .asked import asked_level
from .block_ports import Port, ports_of
from .build import JOBS, Progress
from .precompiled import Headers
from .simulated import MADE_BY, simulated
from .verilator import ONE_FILE, call, check_tools, level_option, shared_runtime, verilate, verilator_env, version

HERE = Path(__file__).resolve().parent
TOP = "block"
#: What a block's library is made with.
_SOURCES = tuple(HERE / name for name in ("block.cpp", "contracts.h", "coverage.h", "block_build.py", "verilator.py",
                                          *MADE_BY))


def build_block(block: Callable[..., wiring.Component], *args: Any, optimize: int | None = None,
                progress: Progress | None = None, **kwargs: Any) -> tuple[Path, wiring.Component]:
    """The library of `block(*args, **kwargs)`, built if it does not exist yet, and the component.

    `optimize`: the C++ compiler's effort; None: what $SPATTEN_OPTIMIZE_BLOCKS asks for, or 1. More takes longer and has
    not made models faster.
    """
    check_tools()
    if optimize is None:
        asked = asked_level("SPATTEN_OPTIMIZE_BLOCKS")
        optimize = 1 if asked is None else asked
    say = progress or (lambda _: None)
    component = block(*args, **kwargs)
    streams, wires = ports_of(component)
    shortcut = _shortcut(block, args, kwargs, optimize)
    if shortcut and (found := shortcut.library()):
        only_asked(component)
        return found, component
    name = type(component).__name__
    say(f"generating Verilog of {name}")
    text = variant.simulated_verilog(component, TOP, jobs=JOBS)
    library = _build(text, _glue(streams, wires), name, optimize, say)
    if shortcut:
        shortcut.leads_to(library)
    return library, component


def _build(verilog: str, glue: str, name: str, optimize: int, say: Progress) -> Path:
    parts = (verilog, glue, *(path.read_text() for path in _SOURCES), str(optimize), version() + variant.compiled())
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def make(work: Path) -> Path:
        say(f"compiling {name}")
        return _compile(verilog, glue, work, optimize)
    return kept.library(f"block-{digest}", make)


def _compile(verilog: str, glue: str, work: Path, optimize: int) -> Path:
    (work / f"{TOP}.v").write_text(simulated(verilog))
    (work / "glue.h").write_text(glue)
    for source in ("block.cpp", "contracts.h", "coverage.h"):
        shutil.copyfile(HERE / source, work / source)
    level = level_option(optimize)
    env = verilator_env(opt_fast=level, opt_slow="-O0")
    verilate(work, TOP, "block.cpp", env, level, *ONE_FILE)
    runtime = kept.library_dir() / f"runtime-block-{version()}-{optimize}{variant.compiled()}"
    make = ["make", f"-j{JOBS}", "-f", f"V{TOP}.mk"]
    with shared_runtime(work / "obj", runtime):
        headers = Headers(runtime, level)
        if headers.missing:
            call([*make, *headers.compile], work / "obj", env, work / "headers.log")
        call([*make, *headers.use], work / "obj", env, work / "make.log")
    return work / f"lib{TOP}.so"


def _glue(streams: list[Port], wires: list[Port]) -> str:
    """C++ that names the ports, in the order of `ports_of`. Verilator writes two underscores as `___05F`."""
    def member(name: str) -> str:
        return "t." + name.replace("__", "___05F")

    lines = [f"    static_assert(sizeof {member(p.name)} == {p.size});\n"
             f"    w.push_back({{(uint8_t*)&{member(p.name)}, {p.size}}});" for p in wires]
    for p in streams:
        valid, ready, payload = (f"&{member(f'{p.name}__{part}')}" for part in ("valid", "ready", "payload"))
        raw = f"(uint8_t*){payload}, {p.size}" if p.width else "nullptr, 0"
        lines.append(f'    s.push_back({{"{p.name}", {str(p.input).lower()}, {valid}, {ready}, {raw}}});')
    return "\n".join(['#pragma once', '#include "Vblock.h"', "using Top = Vblock;",
                      "inline void describe(Top& t, std::vector<Stream>& s, std::vector<Wire>& w) {", *lines, "}", ""])


def _shortcut(block: Callable, args: tuple, kwargs: dict[str, Any], optimize: int) -> kept.Shortcut | None:
    """The quicker name of a block's library; None where arguments do not say all about the block by their text."""
    everything = [*args, *kwargs.values()]
    if inspect.ismethod(block) or not all(isinstance(a, int | str | SpAttenConfig) for a in everything):
        return None
    source = Path(sys.modules[block.__module__].__file__ or "")
    text = (f"{block.__module__}.{block.__qualname__} {args} {sorted(kwargs.items())} {optimize} {_sources()}"
            f"{variant.tag()}")
    return kept.Shortcut("block-" + hashlib.sha256(text.encode() + source.read_bytes()).hexdigest()[:16])


@cache
def _sources() -> str:
    """Hash of the generator and of the harness."""
    return sources_digest(_SOURCES, importlib.metadata.version("amaranth"))
