"""Rivals and benchmarks: layers counted by hand, models against their sources' figures, names and files of users."""
