"""A design's Verilog as simulations have it: what a chip may do and Verilog's own rules hide is shown.

Broken contracts are reported (`contracts.py`), what no reset sets begins at random (`power_up.py`), and what a read
that meets a write gives is wrong where the design says that it does not care (`collisions.py`).
"""

from __future__ import annotations

from .collisions import inverted_collisions
from .contracts import reported
from .power_up import random_start

#: The files that say how, for the names of what is compiled.
MADE_BY = ("simulated.py", "collisions.py", "contracts.py", "power_up.py")


def simulated(verilog: str, *, fatal: bool = False) -> str:
    """`verilog` with all of it. `fatal`: a broken contract ends the simulator, where no harness is there to be called.
    Raises ValueError if the backend wrote something in another way than expected."""
    return reported(random_start(inverted_collisions(verilog)), fatal=fatal)
