"""Component → shared library: one block compiled by Verilator with `block.cpp` around it.

Kept and found again as the accelerator's libraries are (`build.py`): by a hash of Verilog, harness and flags. A
second, quicker key of a block made from numbers and configurations is a hash of the sources, so that unchanged
blocks are not even converted to Verilog.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.hdl import Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from spatten_hw.config import SpAttenConfig
from spatten_hw.shared import _only_asked
from spatten_hw.verilog import to_verilog

from .build import JOBS, Progress, _locked, _write_atomically, build_dir, check_tools
from .verilator import call, verilator_env

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOP = "block"
#: Verilator's own runtime: the same for every block.
_RUNTIME = ("verilated.o", "verilated_threads.o")


@dataclass(frozen=True)
class Port:
    """A stream or a plain signal: `name` in Verilog, `layout` of the payload or value, its `width` in bits."""

    name: str
    input: bool
    layout: Any
    width: int

    @property
    def size(self) -> int:
        """Bytes Verilator keeps it in: an integer, or an array of 32-bit words."""
        return next((n for n in (1, 2, 4, 8) if self.width <= 8 * n), -(-self.width // 32) * 4)


def ports_of(component: wiring.Component) -> tuple[list[Port], list[Port]]:
    """Streams and plain ports of a component, in the order of its signature; plain ports of no width are left out."""
    leaves: dict[tuple, dict[str, tuple[bool, Any]]] = {}
    for path, member, value in component.signature.flatten(component):
        names = tuple(map(str, path))
        leaves.setdefault(names[:-1], {})[names[-1]] = (member.flow == In, value)
    streams, wires = [], []
    for path, members in leaves.items():
        if {"valid", "ready", "payload"} <= members.keys():
            value = members["payload"][1]
            streams.append(_port("__".join(path), members["valid"][0], value))
            members = {n: m for n, m in members.items() if n not in ("valid", "ready", "payload")}
        wires += [_port("__".join((*path, n)), is_input, value) for n, (is_input, value) in members.items()]
    return streams, [w for w in wires if w.width]


def _port(name: str, is_input: bool, value: Any) -> Port:
    raw = Value.cast(value)
    if not isinstance(raw, Signal):
        raise ValueError(f"port {name} is no signal")
    layout = value.shape() if isinstance(value, data.View) else raw.shape()
    return Port(name, is_input, layout, Shape.cast(raw.shape()).width)


def build_block(block: Callable[..., wiring.Component], *args: Any, optimize: int = 1,
                progress: Progress | None = None, **kwargs: Any) -> tuple[Path, wiring.Component]:
    """The library of `block(*args, **kwargs)`, built if it does not exist yet, and the component.

    `optimize`: the C++ compiler's effort. More than 1 takes longer and has not made models faster.
    """
    check_tools()
    say = progress or (lambda _: None)
    component = block(*args, **kwargs)
    streams, wires = ports_of(component)
    folder = build_dir() / "lib"
    folder.mkdir(exist_ok=True)
    shortcut = _shortcut(folder, block, args, kwargs, optimize)
    if shortcut and shortcut.exists() and (folder / shortcut.read_text()).exists():
        _only_asked(component)
        return folder / shortcut.read_text(), component
    name = type(component).__name__
    say(f"generating Verilog of {name}")
    text = to_verilog(component, TOP, jobs=JOBS)
    library = _build(folder, text, _glue(streams, wires), name, optimize, say)
    if shortcut:
        _write_atomically(shortcut, library.name)
    return library, component


def _build(folder: Path, verilog: str, glue: str, name: str, optimize: int, say: Progress) -> Path:
    digest = hashlib.sha256("\0".join([
        verilog, glue, (HERE / "block.cpp").read_text(), Path(__file__).read_text(), str(optimize),
        importlib.metadata.version("verilator")]).encode()).hexdigest()[:16]
    library = folder / f"block-{digest}.so"
    if library.exists():
        return library
    with _locked(folder / f"block-{digest}.lock"):
        if not library.exists():
            work = folder / f"block-{digest}.build"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            say(f"compiling {name}")
            _compile(verilog, glue, work, optimize)
            (work / "libblock.so").rename(library)
            shutil.rmtree(work, ignore_errors=True)
    return library


def _compile(verilog: str, glue: str, work: Path, optimize: int) -> None:
    (work / f"{TOP}.v").write_text(verilog)
    (work / "glue.h").write_text(glue)
    shutil.copyfile(HERE / "block.cpp", work / "block.cpp")
    env = verilator_env(opt_fast=f"-O{optimize}", opt_slow="-O0")
    # -fno-gnu-unique, -Bsymbolic: two such libraries in one process must not share symbols.
    cflags = f"-fPIC -fvisibility=hidden -fno-gnu-unique -I{work} -O{optimize}"
    call(["verilator", "--cc", "--exe", "--prefix", "Vblock", "--top-module", TOP, "--Mdir", "obj",
          "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--output-split", "20000",
          "-Wno-fatal", "-Wno-lint", "-Wno-PROCASSINIT", "-CFLAGS", cflags, "-LDFLAGS", "-shared -Wl,-Bsymbolic",
          "-o", "../libblock.so", f"{TOP}.v", "block.cpp"], work, env, work / "verilator.log")
    kept = build_dir() / "lib" / f"runtime-block-{importlib.metadata.version('verilator')}-{optimize}"
    kept.mkdir(exist_ok=True)
    for name in _RUNTIME:
        if (kept / name).exists():
            shutil.copyfile(kept / name, work / "obj" / name)
    call(["make", f"-j{JOBS}", "-f", "Vblock.mk"], work / "obj", env, work / "make.log")
    for name in _RUNTIME:
        if (work / "obj" / name).exists() and not (kept / name).exists():
            part = kept / f"{name}.{os.getpid()}"
            shutil.copyfile(work / "obj" / name, part)
            part.rename(kept / name)


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


def _shortcut(folder: Path, block: Callable, args: tuple, kwargs: dict[str, Any], optimize: int) -> Path | None:
    """Where the library's name is kept; None where arguments do not say all about the block by their text."""
    everything = [*args, *kwargs.values()]
    if not all(isinstance(a, int | str | SpAttenConfig) for a in everything):
        return None
    source = Path(sys.modules[block.__module__].__file__ or "")
    text = f"{block.__module__}.{block.__qualname__} {args} {sorted(kwargs.items())} {optimize} {_sources()}"
    return folder / f"block-{hashlib.sha256(text.encode() + source.read_bytes()).hexdigest()[:16]}.key"


@cache
def _sources() -> str:
    """Hash of the generator and of the harness."""
    digest = hashlib.sha256(importlib.metadata.version("amaranth").encode())
    for path in _files():
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    yield from sorted((ROOT / "spatten_hw").rglob("*.py"))
    yield from (HERE / "block.cpp", HERE / "block_build.py", HERE / "verilator.py")
