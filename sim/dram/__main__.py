"""`python -m sim.dram`: the model's figures beside the reference's, as a table in Markdown."""

from .timing import HBM2
from .validation import ROWS, UNLOADED, unloaded_latencies

print("| trace | reference GB/s | model GB/s | | reference ns | model ns | |\n|---|---|---|---|---|---|---|")
for row in ROWS:
    stats = row.run()
    text = f"| {row.name} | {row.gb_s:.2f} | {stats.bandwidth_gb_s:.2f} | {stats.bandwidth_gb_s / row.gb_s - 1:+.1%} |"
    if row.latency_ns is None:
        print(f"{text} – | {stats.latency_ns:.1f} | |")
    else:
        print(f"{text} {row.latency_ns:.1f} | {stats.latency_ns:.1f} | {stats.latency_ns / row.latency_ns - 1:+.1%} |")
for name, model in unloaded_latencies(HBM2).items():
    print(f"| HBM2, single read, {name} | | | | {UNLOADED[name]} | {model:.0f} | {model / UNLOADED[name] - 1:+.1%} |")
