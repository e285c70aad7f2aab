"""Files that take the Verilog into other tools: `spatten-hw generate --package KIND`.

A kind is a module here with a function of (configuration, top) to file name → text; `package_files` puts each kind
into a folder of its own name beside the Verilog, but for those in `BESIDE`. Texts depend on the configuration alone.

May import: config, errors, interface, top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..config import SpAttenConfig
from ..errors import UserError
from .fusesoc import fusesoc_files
from .ipxact import ipxact_files
from .litex import litex_files
from .vivado import vivado_files

#: Kind → its files.
PACKAGES: dict[str, Callable[[SpAttenConfig, str], dict[str, str]]] = {
    "vivado": vivado_files,
    "fusesoc": fusesoc_files,
    "litex": litex_files,
    "ipxact": ipxact_files,
}

#: Kinds whose tools want their files in the Verilog's own folder.
BESIDE = ("fusesoc",)


def check_kinds(kinds: Iterable[str]) -> None:
    """Raises `UserError` for a kind that does not exist."""
    for kind in kinds:
        if kind not in PACKAGES:
            raise UserError(f"unknown package '{kind}'; packages: {', '.join(PACKAGES)}")


def package_files(kinds: Iterable[str], config: SpAttenConfig, top: str) -> dict[str, str]:
    """Path below the output folder → text, of every kind once, in the order of `PACKAGES`. Raises `UserError`."""
    kinds = set(kinds)
    check_kinds(kinds)
    return {name if kind in BESIDE else f"{kind}/{name}": text for kind, files in PACKAGES.items() if kind in kinds
            for name, text in files(config, top).items()}
