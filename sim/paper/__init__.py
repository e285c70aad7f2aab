"""The evaluation of the SpAtten paper once more, on this accelerator: its numbers beside ours, with the reason where
they differ (`spatten-hw paper`, docs/paper.md).

May import: errors, output, presets, sim.bench, sim.dram, sim.evaluate, sim.paper.sections, sim.rivals, source_tree,
topk.
"""
