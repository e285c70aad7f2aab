"""A run as one self-contained HTML page: who was pruned, why, and what it saved (`docs/report.md`).

May import: host, host.workload, sim, sim.models, sim.models.decoder.
"""
