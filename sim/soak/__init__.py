"""Random configurations under random work: `python -m spatten_hw.sim.soak`.

A drawn configuration (`draw.py`) is either refused with a reason (`refusal.py`) or is built and runs random cascades
(`workload.py`, `sequences.py`) under random memories (`memory.py`), each compared with the golden model (`session.py`).
`run.py` does so for seed after seed, `tally.py` keeps what came of them.

May import: commands, config, engines, errors, host, host.workload, interface, sim, sim.dram, sim.golden, sim.harness,
source_tree, termination, top, verilog.
"""
