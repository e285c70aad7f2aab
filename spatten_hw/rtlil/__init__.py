"""The text that Amaranth writes for Yosys: module by module, with names made readable.

May import: nothing of the project.
"""
