"""The package as it is installed: one import name, its wheel, what it keeps and where."""
