"""The serial line to a board: framing, retries, the transport of a driver over it.

May import: config, errors, host.
"""
