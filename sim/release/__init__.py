"""Figures that cannot rot: what `make bench` measures, the tables of the docs made of it, and what `make release-check`
holds against them. Imports the benches' results as JSON, never the simulation.

May import: cli, commands, config, errors, presets, sim.bench, source_tree.
"""
