"""The one way to Verilog: every component, in tests and in `generate`, goes through `to_verilog`."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial

from amaranth.back import rtlil, verilog
from amaranth.lib import wiring

from .contract import contracts as checked
from .rtlil.names import readable
from .shared import VerilogPlatform
from .verilog_text import repaired

#: Which Yosys Amaranth calls unless the user says otherwise: the packaged one, so that bytes do not depend on
#: what a machine happens to have.
YOSYS = "builtin"


def to_verilog(component: wiring.Component, name: str, jobs: int = 1, *, contracts: bool = False) -> str:
    """Verilog text of `component` as module `name`; streams become `port__valid`, `port__payload`, ….

    `Shared` blocks become modules of their own, converted in up to `jobs` processes. The text depends on the
    design only: not on the machine, its paths, or `jobs`. `contracts`: with the contracts of all blocks
    (`contract.py`), for simulation.
    """
    return from_rtlil(to_rtlil(component, name, jobs, contracts=contracts))


def to_rtlil(component: wiring.Component, name: str, jobs: int = 1, *, contracts: bool = False) -> str:
    """RTLIL from which `from_rtlil` makes the Verilog of `to_verilog`: the same modules and names."""
    platform = VerilogPlatform(name)
    with _no_collector(), checked(contracts):
        texts = [rtlil.convert(component, name=name, platform=platform)]
    keys = list(platform.keys)
    known = set(keys)
    convert = partial(_convert_block, prefix=name, contracts=contracts)
    with _pool(jobs if len(keys) > 1 else 1) as run:
        while keys:
            found: list[tuple] = []
            for text, inner in run(convert, keys):
                texts.append(text)
                found += [k for k in inner if k not in known]
                known.update(inner)
            keys = found
    return readable("\n".join(texts))


def from_rtlil(text: str) -> str:
    """Verilog of RTLIL text."""
    os.environ.setdefault("AMARANTH_USE_YOSYS", YOSYS)
    return repaired(verilog._convert_rtlil_text(text))


def _convert_block(key: tuple, prefix: str, contracts: bool) -> tuple[str, list[tuple]]:
    """RTLIL of one shared block, and the shared blocks it contains."""
    platform = VerilogPlatform(prefix)
    with _no_collector(), checked(contracts):
        text = rtlil.convert(key[0](*key[1:]), name=platform.module(key), platform=platform)
    # Only the whole design has a top.
    text = re.sub(r"^attribute \\top 1\n", "", text, flags=re.MULTILINE)
    return text, [k for k in platform.keys if k != key]


@contextmanager
def _pool(jobs: int) -> Iterator:
    """A `map` over `jobs` processes (1, or where processes cannot be forked: the plain one)."""
    if jobs == 1 or "fork" not in multiprocessing.get_all_start_methods():
        yield map
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        yield pool.map


@contextmanager
def _no_collector() -> Iterator[None]:
    """Pauses garbage collection: a netlist is millions of small objects that live until it is written, so that
    collection finds nothing and costs half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:  # else it is the caller's to collect
            gc.enable()
            gc.collect()
