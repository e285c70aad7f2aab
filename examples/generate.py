"""Writes Verilog, register map and C header of a configuration of one's own into a folder.

    python examples/generate.py OUT
"""

import sys

from spatten_hw import PRESETS
from spatten_hw.generate import generate

config = PRESETS["small"].replace(name="mine", max_tokens=256, sram_tokens=128)
print(generate(config, sys.argv[1]).text())
