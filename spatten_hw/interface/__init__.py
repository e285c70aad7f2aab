"""What host and hardware agree on: registers, descriptor of a layer job, error codes, rules of a valid job, and the
files made from them (C header, SystemRDL, pages).

May import: config, units.
"""
