"""A transport factory that records: for whoever makes its transport inside (`spatten_hw.sim.engine.run_workload`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.streams import JobCounts, Span
from spatten_hw.sim.harness.transport import VerilatedTransport

from .jobs import Timeline, build


class Recorder:
    """Called with a configuration, gives a context in which its simulation records everything.

    After the context has ended `timeline` says what was recorded. Raises `ValueError` before that.
    """

    def __init__(self) -> None:
        self._recorded: tuple[SpAttenConfig, list[Span], list[JobCounts], int] | None = None

    @contextmanager
    def __call__(self, config: SpAttenConfig) -> Iterator[VerilatedTransport]:
        with VerilatedTransport(config) as transport:
            transport.record()
            yield transport
            self._recorded = config, transport.spans(), transport.job_streams(), transport.spans_dropped

    def timeline(self, names: Sequence[tuple[int, int]] | None = None) -> Timeline:
        """The timeline; `names` as for `Timeline.of`."""
        if self._recorded is None:
            raise ValueError("nothing has been recorded: no simulation has ended")
        config, spans, counts, dropped = self._recorded
        return build(config, spans, counts, names, dropped)
