"""Fixed-point arithmetic on Amaranth values: rounding, saturation, stated widths, as the datapath and the control use it.

May import: nothing of the project.
"""
