"""Sweeps over configurations, workloads, policies and memories: `spatten-hw sweep FILE.toml`.

A file says what is varied (`file.py`), points are made of it (`space.py`, `point.py`), each is one task or more
(`task.py`: model, RTL, area), tasks run in local processes or on a Dask cluster (`run.py`), and what they find becomes
a table, Pareto plots and a page (`table.py`, `plots.py`, `page.py`).

May import: boards.flow, config, errors, generate, host, output, presets, sim, sim.bench, sim.dram, sim.estimate,
sim.evaluate, sim.golden, sim.harness, source_tree, user_text.
"""
