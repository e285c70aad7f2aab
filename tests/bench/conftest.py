"""Benches of tiny builds: what their JSON calls the Verilog is looked at elsewhere."""

import pytest


@pytest.fixture(autouse=True)
def no_digest(monkeypatch):
    """The product's Verilog is not generated only to be named (tests/cli/test_cli.py compares its name)."""
    for user in ("options", "area"):
        monkeypatch.setattr(f"spatten_hw.sim.bench.{user}.verilog_digest", lambda _: "not asked for")
