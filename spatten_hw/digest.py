"""A short name for the Verilog of a configuration: figures say by it what they were measured on."""

from __future__ import annotations

import hashlib
import re

#: Hexadecimal digits of it.
DIGITS = 12

#: Where a part of the Verilog is from, on a line of its own or inside of one: what moves lines in the source changes no
#: circuit.
_SOURCE = re.compile(r'^ *\(\* src = "[^"]*" \*\)\n|\(\* src = "[^"]*" \*\) ', re.MULTILINE)


def digest_of(verilog: str) -> str:
    """The first `DIGITS` of the SHA-256 of what `to_verilog(Top(config))` gives, without its `src` attributes: the file
    `spatten.v` without its header, which names versions. `manifest.json` of `spatten-hw generate` has it as
    `verilog_digest`."""
    return hashlib.sha256(_SOURCE.sub("", verilog).encode()).hexdigest()[:DIGITS]
