"""A command that cannot be imported without an extra (`test_cli.py`)."""

import pyosys  # noqa: F401
