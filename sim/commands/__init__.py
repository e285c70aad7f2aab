"""Commands of `spatten-hw` that run or measure something: arguments in, text, files and exit codes out.

May import: boards.flow, commands, config, errors, host, host.link, host.workload, output, sim, sim.bench, sim.evaluate,
sim.golden, sim.harness, sim.models, sim.models.decoder, sim.models.eviction, sim.models.gpt, sim.models.llama,
sim.paper, sim.paper.sections, sim.report, sim.rivals, sim.silicon, sim.sweep, sim.timeline, user_text.
"""
