"""Errors of building a simulation."""

from __future__ import annotations

from spatten_hw.errors import UserError


class ToolError(UserError, RuntimeError):
    """An external tool is missing or failed; one line saying which, where its log is and what to do."""
