"""Streams between blocks: payload layouts, queues, registers, forks, joins; every folder of the datapath uses them.

May import: config, contract, interface, primitives.
"""
