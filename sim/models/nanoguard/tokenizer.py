"""Text to token ids: the byte-pair encoding of a pickled `tiktoken.Encoding`, of which the tables alone are taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatten_hw.sim.models.encoder import Tokens

from .pickles import Restricted

#: The special token that every text begins with.
BEGIN = "<|reserved_0|>"


class _Tables:
    """Stands for the pickled object: gets its tables and has no code."""

    pat_str: str
    mergeable_ranks: dict[bytes, int]
    special_tokens: dict[str, int]


@dataclass
class Tokenizer:
    """`pattern`: a regular expression of what is never merged across; `ranks`: bytes → id, lower ones merged first;
    `special`: name → id."""

    pattern: str
    ranks: dict[bytes, int]
    special: dict[str, int]

    def __post_init__(self) -> None:
        import tiktoken

        self.begin = self.special[BEGIN]
        self.backend: Any = tiktoken.Encoding("nanoguard", pat_str=self.pattern, mergeable_ranks=self.ranks,
                                              special_tokens=self.special)

    def tokenize(self, text: str) -> Tokens:
        """Tokens of `text`, never cut; names of special tokens in it are text as any other."""
        ids = [self.begin, *self.backend.encode_ordinary(text)]
        return Tokens(tuple(ids), tuple(self.backend.decode_single_token_bytes(n).decode(errors="replace")
                                        for n in ids))


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a file. Raises `OSError` and those of `pickles.DAMAGED`."""
    with path.open("rb") as file:
        tables = Restricted(file, {("tiktoken.core", "Encoding"): _Tables}).load()
    if not isinstance(tables, _Tables):
        raise ValueError("it holds no tokenizer")
    return Tokenizer(tables.pat_str, tables.mergeable_ranks, tables.special_tokens)
