"""The serial line to a board: framing, retries, the transport of a driver over it.

May import the driver's interface (`host.transport`) and errors; pyserial only when a port is opened.
"""
