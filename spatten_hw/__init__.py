"""Synthesizable RTL generator for the SpAtten sparse-attention accelerator (HPCA 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import ConfigError, SpAttenConfig
from .presets import PRESETS

if TYPE_CHECKING:
    from .accelerator import Accelerator
    from .top import Top

__all__ = ["PRESETS", "Accelerator", "ConfigError", "SpAttenConfig", "Top"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Imports `Accelerator` and `Top` on demand: they load Amaranth, which a host that only drives one need not wait
    for."""
    if name == "Accelerator":
        from .accelerator import Accelerator
        return Accelerator
    if name == "Top":
        from .top import Top
        return Top
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
