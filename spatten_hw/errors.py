"""Errors that are the user's to fix: shown in one line, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave is wrong; the message says what, where and what to do, in one line."""
