"""The evaluation of the SpAtten paper once more, on this accelerator: its numbers beside ours, with the reason where
they differ (`spatten-hw paper`, docs/paper.md).

May import: config, engines, errors, output, paper.sections, presets, sim, sim.bench, sim.dram, sim.estimate,
sim.evaluate, sim.rivals, topk, user_text.
"""
