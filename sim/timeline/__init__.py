"""A cycle timeline of a simulated run: who worked on what when (Chrome trace JSON, text).

    with VerilatedTransport(config) as t:
        t.record()
        ...                                   # jobs
        timeline = Timeline.of(t, names)      # names: (step, layer) of every job, in order; optional
    path.write_text(trace_text(timeline)); print(summary(timeline))

May import: config, sim.harness.
"""

from .events import UNITS, Event
from .jobs import Job, Timeline
from .record import Recorder
from .summary import summary
from .trace import chrome_trace, trace_text

__all__ = ["UNITS", "Event", "Job", "Recorder", "Timeline", "chrome_trace", "summary", "trace_text"]
