"""A short digest of a configuration's Verilog, which identifies what a figure was measured on."""

from __future__ import annotations

import hashlib
import re

#: Hexadecimal digits of it.
DIGITS = 12

#: A source reference, on a line of its own or inside one. The digest ignores it: moved source lines change no circuit.
_SOURCE = re.compile(r'^ *\(\* src = "[^"]*" \*\)\n|\(\* src = "[^"]*" \*\) ', re.MULTILINE)


def digest_of(verilog: str) -> str:
    """The first `DIGITS` of the SHA-256 of what `to_verilog(Top(config))` gives, without its `src` attributes: the file
    `spatten.v` without its header, which names versions. `manifest.json` of `spatten-hw generate` has it as
    `verilog_digest`."""
    return hashlib.sha256(_SOURCE.sub("", verilog).encode()).hexdigest()[:DIGITS]
