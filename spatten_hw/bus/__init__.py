"""AXI4: signatures of the ports, how addresses are spread over channels, read and write crossbars, what may be
outstanding. Everything that a memory sees of the accelerator goes through here.

May import: config, contract, primitives, shared, stream.
"""
