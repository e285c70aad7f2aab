"""AXI4: signatures of the ports, what may be outstanding, beats in any order. All reads of the accelerator go through
here, channel by channel; rows leave as steps (`fetch.row_step`).

May import: config, contract, fetch, primitives, shared, stream.
"""
