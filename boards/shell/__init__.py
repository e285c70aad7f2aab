"""What every board has round the accelerator: serial link, memory, status lights. `system.System` is the whole.

May import: accelerator, bus, config, control, errors, host.link, interface, stream.
"""
