"""The host's side: quantiser, memory layout, jobs, workload files, and the driver over a transport."""

from .driver import Completion, Counters, DeviceError, Driver, JobError, JobTimeout
from .job import HeadScale, JobRefused, LayerJob
from .options import WorkloadError
from .plan import Plan
from .transport import Transport
from .workload import Workload, make_workload, read_workload

__all__ = ["Completion", "Counters", "DeviceError", "Driver", "HeadScale", "JobError", "JobRefused", "JobTimeout",
           "LayerJob", "Plan", "Transport", "Workload", "WorkloadError", "make_workload", "read_workload"]
