"""Synthesizable RTL generator for the SpAtten sparse-attention accelerator (HPCA 2021)."""

from .config import ConfigError, SpAttenConfig
from .presets import PRESETS

__all__ = ["PRESETS", "ConfigError", "SpAttenConfig"]
__version__ = "0.1.0"
