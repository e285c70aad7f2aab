"""Sweeps: their files, points, tables; processes that die, clusters that go away."""
