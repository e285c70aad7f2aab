"""The host's side: memory layout, layer jobs and how they are built, results, and the driver over a transport.

May import: config, errors, host.workload, interface.
"""

from .device import DeviceError
from .driver import Driver, JobError, JobTimeout
from .job import HeadScale, JobRefused, LayerJob
from .outcome import Completion, Counters
from .plan import Plan
from .rules import BY_KEY, PAPER, Rules
from .transport import Transport
from .workload import Workload, make_workload, read_workload
from .workload.fixed_schedule import FixedCounts, FixedRatios
from .workload.options import WorkloadError
from .workload.schedule import LayerCounts, PaperSchedule, Schedule, ScheduleError

__all__ = ["BY_KEY", "PAPER", "Completion", "Counters", "DeviceError", "Driver", "FixedCounts", "FixedRatios",
           "HeadScale", "JobError", "JobRefused", "JobTimeout", "LayerCounts", "LayerJob", "PaperSchedule", "Plan",
           "Rules", "Schedule", "ScheduleError", "Transport", "Workload", "WorkloadError", "make_workload",
           "read_workload"]
