"""AXI4: signatures of the ports, and all reads of a memory channel: which go out, room for their beats, beats in any
order; complete rows leave as steps, from which converters make chunks.

May import: config, contract, primitives, stream.
"""
