"""One pruned layer on the generated Verilog, in simulation, against the golden model and float64.

    python examples/simulate.py
"""

import numpy as np

from spatten_hw import SpAttenConfig
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload

config = SpAttenConfig(
    name="tiny", multipliers=32, chunk=8, max_dim=32, operand_bits=12, max_tokens=64, sram_tokens=32, max_heads=8,
    max_group=4, slots=4, topk_lanes=8, channels=2, axi_data_bits=64, axi_addr_bits=24, reads=16, pool_beats=64,
    job_queue=2)
q, k, v = np.random.default_rng(1).normal(size=(3, 2, 4, 20, 16))    # [layers, heads, tokens, D]
workload = make_workload({"q": q, "k": k, "v": v}, {"keep_tokens": [20, 12], "keep_values": [10, 6]})

result = run_workload(workload, config, "rtl")
print(f"bit exact: {result.bit_exact}; {result.cycles} cycles; cosine against float64 {result.cosine:.4f}")
print(f"bytes: {sum(result.bytes.values())}, dense in 12 bits {result.dense_bytes}")
