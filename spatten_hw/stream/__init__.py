"""Streams between blocks: payload layouts, queues, registers, forks, joins; what every folder of the datapath speaks.

May import: config, contract, interface, primitives.
"""
