"""AXI4: signatures of the ports, how addresses are spread over channels, read and write crossbars, what may be
outstanding. All accesses of the accelerator to memory go through here.

May import: config, contract, primitives, shared, stream.
"""
