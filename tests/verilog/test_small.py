"""Memories of `small`: Yosys' view of them, and none made of flip-flops."""

import re
from collections import Counter

from spatten_hw.boards.flow.tools import run_tool, yosys_command
from spatten_hw.sim.harness.collisions import inverted_collisions

#: Words up to which a memory may be read asynchronously (look-up-table memory of FPGAs).
ASYNCHRONOUS_WORDS = 64
#: Bits of the widest register: one row of operands with what travels beside it, not an array.
REGISTER_BITS = 1024

MEMORY = re.compile(r"^  reg (?:\[\d+:0\] )?\w+ \[\d+:0\];", re.MULTILINE)
#: Yosys on the modules that hold memories: registers merged into read ports as every synthesis does first.
SCRIPT = """\
read_verilog -sv memories.v
proc -norom
opt_expr
opt_clean
opt_dff
opt_clean
memory_dff
memory_collect
tee -q -o memories.il dump t:$mem_v2
"""


def test_memories_can_be_block_memories(small, tmp_path):
    """Every memory has one write and one read port; those above 64 words read with the clock, without a bypass."""
    text = (small / "spatten.v").read_text()
    holding = [m[0] for m in re.finditer(r"^module .*?^endmodule", text, re.MULTILINE | re.DOTALL)
               if MEMORY.search(m[0])]
    (tmp_path / "memories.v").write_text("\n".join(holding))
    (tmp_path / "memories.ys").write_text(SCRIPT)
    run_tool([*yosys_command(), "memories.ys"], tmp_path, "yosys.log")
    memories = cells((tmp_path / "memories.il").read_text())
    assert len(memories) == len(MEMORY.findall(text))
    for m in memories:
        assert (m["RD_PORTS"], m["WR_PORTS"]) == (1, 1), m
        assert m["RD_CLK_ENABLE"] or m["SIZE"] <= ASYNCHRONOUS_WORDS, m
        assert not m["RD_TRANSPARENCY_MASK"] or m["SIZE"] <= ASYNCHRONOUS_WORDS, m
    kinds = Counter(bool(m["RD_CLK_ENABLE"]) for m in memories)
    bits = {kind: sum(m["SIZE"] * m["WIDTH"] for m in memories if bool(m["RD_CLK_ENABLE"]) == kind) for kind in kinds}
    print("clocked, asynchronous:", kinds[True], kinds[False], "bits:", bits)
    # The sums of Prob×V are nearly half of the asynchronous ones.
    assert bits[True] > 35 * bits[False]


def test_memories_without_collisions(small):
    """Those that say so, and simulations find all of them."""
    text = (small / "spatten.v").read_text()
    inverted = re.findall(r"\? ~(\S+) *\[", inverted_collisions(text))
    assert len(inverted) == text.count("no_rw_check") and {"notes", "beats", "bank0"} <= set(inverted)


def test_no_array_of_flip_flops(small):
    text = (small / "spatten.v").read_text()
    registers = [(int(high or 0) + 1, name) for high, name in
                 re.findall(r"^  reg (?:\[(\d+):0\] )?(\S+) = ", text, re.MULTILINE)]
    assert max(registers)[0] <= REGISTER_BITS, max(registers)
    # An array that is no memory comes out as numbered registers of one width.
    arrays = Counter((module[:60], width, re.sub(r"\d+", "*", name)) for module in text.split("\nmodule ")
                     for width, name in ((int(h or 0) + 1, n) for h, n in re.findall(
                         r"^  reg (?:\[(\d+):0\] )?([a-z]\w*) = ", module, re.MULTILINE)))
    (key, times) = max(arrays.items(), key=lambda a: a[0][1] * a[1])
    assert key[1] * times <= 2048, (key, times)


def cells(il):
    """Parameters of every $mem_v2 cell of a dump; numbers where they are numbers."""
    found = []
    for cell in re.findall(r"^  cell \$mem_v2 (\S+)\n(.*?)^  end", il, re.MULTILINE | re.DOTALL):
        parameters = dict(re.findall(r"parameter (?:signed )?\\(\w+) (\S+)", cell[1]))
        found.append({"name": cell[0]} | {
            key: int(value.split("'")[-1].replace("x", "0"), 2) if "'" in value else int(value)
            for key, value in parameters.items()
            if key in ("SIZE", "WIDTH", "RD_PORTS", "WR_PORTS", "RD_CLK_ENABLE", "RD_TRANSPARENCY_MASK")})
    return found
