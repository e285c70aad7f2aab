"""A block's library as ctypes sees it (`block.cpp`)."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from . import kept


def load(path: Path) -> Any:
    """The library's functions, `block_…`, with their types."""
    lib = kept.load(path)
    u64, u32, i32, h, p = ctypes.c_uint64, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
    words, raw = ctypes.POINTER(u64), ctypes.c_void_p
    for name, result, arguments in (
        ("create", h, [u64]), ("destroy", None, [h]), ("reset", None, [h, u64]), ("cycle", u64, [h]),
        ("error", p, [h]), ("clear_error", None, [h]), ("run", i32, [h, u64, words]),
        ("set", None, [h, u32, p]), ("get", None, [h, u32, p]), ("high", u64, [h, u32, i32]),
        ("lookup", None, [h, u32, u32, p, u64]),
        ("send", None, [h, u32, p, u64, words, i32, words, u32, u64]),
        ("receive", None, [h, u32, u32, u64]), ("count", u64, [h, u32, i32]), ("taken", None, [h, u32, raw, raw]),
    ):
        function = getattr(lib, f"block_{name}")
        function.restype, function.argtypes = result, arguments
    return lib
