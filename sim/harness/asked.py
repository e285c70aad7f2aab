"""What the environment asks of every simulated accelerator: the C++ compiler's level, contracts inside."""

from __future__ import annotations

import os

from .errors import ToolError


def asked_level(variable: str = "SPATTEN_OPTIMIZE") -> int | None:
    """The level of g++ that the environment's `variable` asks for, 0 … 3, where no other is named: for those who build
    more than they simulate. None: it is not set. Raises `ToolError` for anything else."""
    text = os.environ.get(variable, "")
    if text not in ("", "0", "1", "2", "3"):
        raise ToolError(f"{variable} = {text}: must be 0, 1, 2 or 3, the C++ compiler's optimisation level")
    return int(text) if text else None


def asked_contracts() -> bool:
    """Whether simulated accelerators have the contracts of their blocks in them: $SPATTEN_CONTRACTS = 1, as all tests
    set it. Without, `full` runs 1.4 times as fast and is built in two thirds of the time; every result is
    compared with the golden model in any case. Raises `ToolError` for anything but 0, 1 or nothing."""
    text = os.environ.get("SPATTEN_CONTRACTS", "")
    if text not in ("", "0", "1"):
        raise ToolError(f"SPATTEN_CONTRACTS = {text}: must be 1 (contracts in the simulation) or 0")
    return text == "1"
