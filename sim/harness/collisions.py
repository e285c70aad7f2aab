"""Memories that say that no read of theirs meets a write may give anything where one does.

The attribute `no_rw_check` (`NO_COLLISIONS` in `spatten_hw/stream/registers.py`) lets synthesisers leave out what makes
block RAM give the old word; it then gives neither the old nor the new one. In simulations such a read gives the old
word with every bit inverted, so that what looks at it fails.
"""

from __future__ import annotations

import re

#: A memory with the attribute, as it is written: its write port, its register of what is read, that read.
_MEMORY = re.compile(
    r"\(\* no_rw_check = 32'd1 \*\)\n(?:  \(\*.*\*\)\n)*  reg (?:\[\d+:0\] )?(?P<name>\S+) +\[\d+:0\];\n"
    r"(?:  initial begin.*\n(?:    .*\n)*  end\n)?"
    r"  always @\(posedge clk\) begin\n    if \((?P<enable>.*)\)\n      (?P=name) *\[(?P<to>.*)\] <= .*;\n  end\n"
    r"  reg (?:\[\d+:0\] )?\S+;\n  always @\(posedge clk\) begin\n(?:    if \(.*\) begin\n)? +\S+ <= "
    r"(?P<read>(?P=name) *\[(?P<at>.*)\]);\n")


def inverted_collisions(verilog: str) -> str:
    """`verilog` in which reads that meet a write give the old word's complement. Raises ValueError if a memory with the
    attribute is written in another way than expected."""
    def invert(match: re.Match[str]) -> str:
        before, after = match[0][:match.start("read") - match.start()], match[0][match.end("read") - match.start():]
        return (f"{before}(({match['enable']}) && ({match['to']}) == ({match['at']})) ? ~{match['read']} : "
                f"{match['read']}{after}")

    text, found = _MEMORY.subn(invert, verilog)
    if found != verilog.count("no_rw_check"):
        raise ValueError("a memory with no_rw_check is not written as the backend used to: sim/harness/collisions.py")
    return text
