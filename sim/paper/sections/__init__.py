"""The parts of the evaluation, a file each: a function of the study that gives a `Section`.

May import: boards.flow, config, engines, errors, host, presets, sim.harness, sim.paper, sim.rivals, user_text, verilog.
"""
