"""Fixed-point arithmetic on Amaranth values: rounding, saturation, stated widths; for datapath and control alike.

May import: nothing of the project.
"""
