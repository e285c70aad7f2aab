"""Pickles that may name nothing but what is expected: reading one runs no code of the file's choice."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import IO

#: What a damaged or foreign pickle raises; `UnpicklingError` if it names what is not expected.
DAMAGED = (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)


class Restricted(pickle.Unpickler):
    """`known`: (module, name) → what stands for it; `stored`: finds what the pickle keeps outside, by its id."""

    def __init__(self, file: IO[bytes], known: Mapping[tuple[str, str], object],
                 stored: Callable[[tuple], object] | None = None):
        super().__init__(file)
        self.known, self.stored = known, stored

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which a model's file has no need of")
        return self.known[module, name]

    def persistent_load(self, pid: tuple) -> object:
        if self.stored is None:
            raise pickle.UnpicklingError("it keeps something outside")
        return self.stored(pid)
