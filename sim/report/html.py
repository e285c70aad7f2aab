"""The page of a record: one file that needs nothing else."""

from __future__ import annotations

from .record import RunRecord


def render(record: RunRecord) -> str:
    """The HTML of a report, complete, to be written as UTF-8."""
    raise NotImplementedError(record.title)
