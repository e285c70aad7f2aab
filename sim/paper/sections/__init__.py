"""The parts of the evaluation, a file each: a function of the study that gives a `Section`, in the order of the page.

May import: config, presets, sim.bench, sim.dram, sim.estimate, sim.evaluate, sim.paper, sim.rivals.
"""
