"""`spatten-hw generate`: one configuration to a folder of artefacts, all of them or none."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth._toolchain.yosys import YosysError, find_yosys

from . import __version__
from .config import SpAttenConfig
from .digest import digest_of
from .errors import UserError
from .hierarchy import memories, modules
from .output import check_folder, new_folders, writing
from .package import check_kinds, package_files
from .verilog import to_verilog
from .verilog_header import verilog_header

#: Name of the Verilog module and of the file it is in.
TOP = "spatten"
#: Processes that convert blocks in parallel; the output does not depend on their number.
JOBS = min(4, os.cpu_count() or 1)
#: What every output folder has. manifest.json is last: a folder that has it is complete.
FILES = (f"{TOP}.v", f"{TOP}_regs.h", "registers.json", "registers.rdl", "registers.md", "registers.html",
         "manifest.json")


@dataclass(frozen=True)
class Summary:
    """What was generated."""

    config: SpAttenConfig
    folder: Path
    lines: int
    modules: int
    #: In the whole design: those of a module count once per instance.
    memories: int
    memory_bits: int
    seconds: float
    #: Written, relative to the folder.
    files: tuple[str, ...] = FILES

    def text(self) -> str:
        c = self.config
        return (f"'{c.name}' ({c.hash:08x}): {self.lines:,} lines of Verilog, {self.modules} modules, "
                f"{self.memories} memories of {self.memory_bits / 8192:,.1f} KB, {self.seconds:.1f} s\n"
                f"wrote {', '.join(self.files)} to {self.folder}")


def generate(config: SpAttenConfig, folder: str | Path, packages: Sequence[str] = ()) -> Summary:
    """Writes the artefacts of `config` to `folder`, made if missing; other files in it stay.

    `packages`: kinds of `spatten_hw.package`, each into a folder of its name below. Everything is made beside the
    folder and moved in at the end, so that an error leaves nothing half-written. Raises `UserError`.
    """
    folder = Path(folder)
    check_kinds(packages)
    check_folder(folder, packages, FILES)
    start = time.monotonic()
    artefacts = _artefacts(config, packages)
    text = artefacts[f"{TOP}.v"]
    found = modules(text)
    files = (*FILES[:-1], *(name for name in artefacts if name not in FILES), FILES[-1])
    summary = Summary(config, folder, text.count("\n"), len(found), *memories(found, TOP), time.monotonic() - start,
                      files)
    with writing(folder):
        _install(artefacts, files, folder)
    return summary


def _artefacts(config: SpAttenConfig, packages: Sequence[str]) -> dict[str, str]:
    """File name, relative to the folder → text."""
    from .interface.cheader import c_header, registers_json
    from .interface.register_pages import registers_html, registers_markdown
    from .interface.systemrdl import system_rdl
    from .top import Top

    try:
        verilog = to_verilog(Top(config), TOP, jobs=JOBS)
        yosys = find_yosys(lambda version: version >= (0, 40)).version()
    except YosysError as error:
        raise UserError(f"no usable Yosys: {error}; install with: pip install 'amaranth[builtin-yosys]'") from error
    tools = {"spatten-hw": __version__, "amaranth": importlib.metadata.version("amaranth"),
             "yosys": ".".join(map(str, yosys))}
    artefacts = {
        f"{TOP}.v": verilog_header(config, verilog, TOP, tools) + verilog,
        f"{TOP}_regs.h": c_header(config), "registers.json": registers_json(config),
        "registers.rdl": system_rdl(config), "registers.md": registers_markdown(config),
        "registers.html": registers_html(config),
        **package_files(packages, config, TOP),
    }
    manifest = {
        "config": config.fields,
        "config_hash": f"{config.hash:08x}",
        "verilog_digest": digest_of(verilog),
        "top": TOP,
        "tools": tools,
        "sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in artefacts.items()},
    }
    artefacts["manifest.json"] = json.dumps(manifest, indent=2) + "\n"
    return artefacts


def _install(artefacts: dict[str, str], files: Sequence[str], folder: Path) -> None:
    with new_folders(folder.parent):
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}-", dir=folder.parent))
        try:
            for name in files:
                (part / name).parent.mkdir(exist_ok=True)
                (part / name).write_text(artefacts[name], encoding="utf-8")
            with new_folders(folder):
                # A folder without a manifest is incomplete, should the machine stop here.
                (folder / "manifest.json").unlink(missing_ok=True)
                for name in files:
                    (folder / name).parent.mkdir(exist_ok=True)
                    (part / name).replace(folder / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
