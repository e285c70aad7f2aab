"""What host and hardware agree on: registers, descriptor of a layer job, error codes, rules of a valid job, and what is
written of them (C header, SystemRDL, pages).

May import: config, units.
"""
