"""`python -m spatten_hw.sim.dram`: the model's figures beside the reference's, and two mappings, as Markdown."""

from .replay import replay
from .timing import HBM2, HBM2_64B
from .validation import ROWS, UNLOADED, mapped, sequential, unloaded_latencies


def cells(reference: float | None, model: float, digits: int) -> str:
    """Reference, model and their difference."""
    if reference is None:
        return f"– | {model:.{digits}f} | "
    return f"{reference:.{digits}f} | {model:.{digits}f} | {model / reference - 1:+.1%}"


def validation() -> None:
    """Every row of the validation."""
    print("| trace | reference, GB/s | model | | reference, mean ns | model | |\n|---|---|---|---|---|---|---|")
    for row in ROWS:
        stats = row.run()
        bandwidth, latency = cells(row.gb_s, stats.bandwidth_gb_s, 2), cells(row.latency_ns, stats.latency_ns, 1)
        print(f"| {row.name} | {bandwidth} | {latency} |")
    for name, model in unloaded_latencies(HBM2).items():
        print(f"| HBM2, single read, {name} | | | | {cells(UNLOADED[name], model, 0)} |")


def mappings() -> None:
    """Bandwidth of blocks at random addresses under the mappings of HBM2, GB/s."""
    sizes = (32, 64, 128, 256, 512, 1024)
    print("\n| mapping | sequential |" + "".join(f" random {s} B |" for s in sizes))
    print("|---|---|" + "---|" * len(sizes))
    for t in (HBM2, HBM2_64B):
        figures = [replay(t, sequential(t), t.burst_bytes), *(replay(t, mapped(s)(t), s) for s in sizes)]
        print(f"| {t.name} |" + "".join(f" {s.bandwidth_gb_s:.2f} |" for s in figures))


if __name__ == "__main__":
    validation()
    mappings()
